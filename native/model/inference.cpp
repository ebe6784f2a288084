#include "model/inference.h"

#include <algorithm>

#include "core/error.h"
#include "model/recorded.h"

namespace bertune {
namespace {

// Whose keys and values stand in front of a text's own: the slot of an adapter with a prefix, the model itself, or
// none.
constexpr int32_t kOwnPrefix = -1, kNoPrefix = 0;

int32_t prefix_of(Bert& bert, int32_t slot) {
  if (slot == 0) return bert.prefix_tokens() > 0 ? kOwnPrefix : kNoPrefix;
  return bert.adapters().at(slot).prefix_tokens() > 0 ? slot : kNoPrefix;
}

// What a pass over a batch with this prefix needs to know.
AdapterMix mix_of(Bert& bert, int32_t prefix) {
  AdapterMix mix = bert.adapters().mix(prefix == kOwnPrefix ? 0 : prefix);
  if (prefix == kOwnPrefix) {
    mix.prefix_tokens = bert.prefix_tokens();
    mix.prompt = bert.prompt_embeddings();
  }
  return mix;
}

// Examples of the batch that starts at order[0]: as many as the limits allow, at least one, all with one prefix.
int batch_at(Bert& bert, const Dataset& dataset, const int32_t* order, const int32_t* slots, int64_t count,
             const BatchLimits& limits) {
  int batch = 0;
  int64_t tokens = 0;
  while (batch < count && batch < limits.sequences) {
    tokens += dataset.length(order[batch]);
    if (batch > 0 && tokens > limits.tokens) break;
    if (slots && prefix_of(bert, slots[batch]) != prefix_of(bert, slots[0])) break;
    ++batch;
  }
  return batch;
}

void check_lengths(Bert& bert, const Dataset& dataset, const int32_t* order, const Slots& slots) {
  for (size_t i = 0; i < slots.size(); ++i) {
    if (slots[i] == 0) continue;
    const int most = bert.config().positions - bert.adapters().at(slots[i]).prefix_tokens();
    if (dataset.length(order[i]) <= most) continue;
    throw Error("INVALID_DATA", "Expected at most " + std::to_string(most) +
                                    " tokens beside the adapter's prefix but " + "example " + std::to_string(order[i]) +
                                    " has " + std::to_string(dataset.length(order[i])));
  }
}

}  // namespace

void infer(Bert& bert, const Dataset& dataset, const int32_t* order, int64_t count, BatchLimits limits,
           const Slots* slots, Dtype dtype, void* logits, const std::function<bool()>& proceed) {
  if (count == 0) return;
  Backend& backend = bert.backend();
  AdapterSet& adapters = bert.adapters();
  for (int64_t i = 0; i < count; ++i) limits.tokens = std::max(limits.tokens, dataset.length(order[i]));
  if (slots) check_lengths(bert, dataset, order, *slots);
  bert.reserve({}, limits);
  RunMemory& run = bert.run();
  run.reserve(count, 0, !slots);
  run.write_order(order, count);
  if (slots) {
    const BatchLimits planned = bert.inference_limits();
    adapters.reserve(count, planned.tokens, planned.sequences);
    adapters.write_slots(slots->data(), count);
  }
  bert.prepare_inference();
  const int classes = slots ? adapters.classes() : bert.config().NC;
  Acc* kept = slots ? adapters.kept_logits() : run.logits();
  int64_t done = 0;
  for (int ahead = 1; done < count; ++ahead) {
    if (!proceed()) throw Error("ABORTED", "The work was aborted");
    const int32_t* own = slots ? slots->data() + done : nullptr;
    const int batch = batch_at(bert, dataset, order + done, own, count - done, limits);
    Activations& a = bert.size_batch(dataset, order + done, batch, false);
    backend.begin_step({.seed = 0,
                        .dropout_step = 0,
                        .step = 0,
                        .learning_rate = 0,
                        .order_begin = static_cast<int32_t>(done),
                        .B = a.live.B,
                        .T = a.live.T,
                        .slot = 0});
    const int32_t prefix = own ? prefix_of(bert, own[0]) : kNoPrefix;
    const AdapterMix mix = own ? mix_of(bert, prefix) : AdapterMix{};
    const RecordingKey key{.pass = own ? RecordingKey::Pass::kMixedInference : RecordingKey::Pass::kInference,
                           .dataset = &dataset,
                           .batch = {a.batch.B, a.batch.T, a.batch.max_length},
                           .prefix = prefix};
    run_recorded(backend, key, [&] {
      bert.gather(a, dataset, false);
      bert.forward(a, false, own ? &mix : nullptr);
      backend.keep_logits({classes, own ? mix.logits : a.head.logits, kept});
    });
    done += batch;
    // The host stays close enough to the device that an abort is seen soon.
    if (ahead % backend.run_ahead() == 0) backend.synchronize();
  }
  backend.synchronize();
  backend.read_acc(logits, dtype, kept, count * classes);
}

}  // namespace bertune
