#include "model/inference.h"

#include <algorithm>
#include <limits>
#include <string>

#include "core/error.h"
#include "core/recorded.h"

namespace bertune {
namespace {

// Whose keys and values stand in front of a text's own: the slot of an adapter with a prefix, the model itself, or
// none.
constexpr int32_t kOwnPrefix = -1, kNoPrefix = 0;

int32_t prefix_of(SequenceClassifier& classifier, int32_t slot) {
  if (slot == 0) return classifier.prefix_tokens() > 0 ? kOwnPrefix : kNoPrefix;
  return classifier.adapters().at(slot).prefix_tokens() > 0 ? slot : kNoPrefix;
}

// What a pass over a batch with this prefix needs to know.
AdapterMix mix_of(SequenceClassifier& classifier, int32_t prefix) {
  AdapterMix mix = classifier.adapters().mix(prefix == kOwnPrefix ? 0 : prefix);
  if (prefix == kOwnPrefix) {
    mix.prefix_tokens = classifier.prefix_tokens();
    mix.prompt = classifier.prompt_embeddings();
  }
  return mix;
}

// The prefix that all examples of a batch have.
int32_t common_prefix(SequenceClassifier& classifier, const int32_t* slots, int count) {
  const int32_t prefix = prefix_of(classifier, slots[0]);
  for (int i = 1; i < count; ++i) {
    if (prefix_of(classifier, slots[i]) != prefix) {
      throw Error("INVALID_OPTION", "Expected batches of one prefix each but one has several");
    }
  }
  return prefix;
}

void check_lengths(SequenceClassifier& classifier, const Dataset& dataset, const std::vector<int32_t>& order,
                   const Slots& slots) {
  for (size_t i = 0; i < slots.size(); ++i) {
    if (slots[i] == 0) continue;
    const int most = classifier.config().longest(classifier.adapters().at(slots[i]).prefix_tokens());
    if (dataset.length(order[i]) <= most) continue;
    throw Error("INVALID_DATA", "Expected at most " + std::to_string(most) +
                                    " tokens beside the adapter's prefix but " + "example " + std::to_string(order[i]) +
                                    " has " + std::to_string(dataset.length(order[i])));
  }
}

}  // namespace

BatchLimits largest_batch(const Dataset& dataset, const std::vector<int32_t>& order,
                          const std::vector<int32_t>& starts) {
  BatchLimits largest;
  for (size_t batch = 0; batch + 1 < starts.size(); ++batch) {
    int64_t tokens = 0;
    for (int32_t i = starts[batch]; i < starts[batch + 1]; ++i) tokens += dataset.length(order[i]);
    if (tokens > std::numeric_limits<int32_t>::max()) {
      throw Error("INVALID_OPTION", "Expected batches of fewer than 2^31 tokens but received one of " +
                                        std::to_string(tokens) + "; make the batch size smaller");
    }
    largest.tokens = std::max(largest.tokens, static_cast<int>(tokens));
    largest.sequences = std::max(largest.sequences, starts[batch + 1] - starts[batch]);
  }
  return largest;
}

void infer(SequenceClassifier& classifier, const Dataset& dataset, const std::vector<int32_t>& order,
           const std::vector<int32_t>& starts, const Slots* slots, Dtype dtype, void* logits,
           const std::function<bool()>& proceed) {
  if (order.empty()) return;
  const auto count = static_cast<int64_t>(order.size());
  Backend& backend = classifier.backend();
  AdapterSet& adapters = classifier.adapters();
  if (slots) check_lengths(classifier, dataset, order, *slots);
  classifier.reserve({}, largest_batch(dataset, order, starts));
  RunMemory& run = classifier.run();
  const int classes = slots ? adapters.classes() : classifier.config().NC;
  run.reserve_logits(count * classes);
  run.write_order(order.data(), count);
  if (slots) {
    const BatchLimits planned = classifier.inference_limits();
    adapters.reserve(planned.tokens, planned.sequences);
    adapters.write_slots(slots->data(), count);
  }
  classifier.prepare_inference();
  for (size_t batch = 0; batch + 1 < starts.size(); ++batch) {
    if (!proceed()) throw Error("ABORTED", "The work was aborted");
    const int32_t begin = starts[batch];
    const int size = starts[batch + 1] - begin;
    Activations& a = classifier.size_batch(dataset, order.data() + begin, size, false, {classifier.selected()});
    backend.begin_step({.seed = 0,
                        .dropout_step = 0,
                        .step = 0,
                        .learning_rates = {},
                        .order_begin = begin,
                        .B = a.live.B,
                        .T = a.live.T,
                        .slot = 0,
                        .loss_B = 0,
                        .kept_logits = run.logits(),
                        .examples = dataset.in_order(run.order())});
    const int32_t prefix = slots ? common_prefix(classifier, slots->data() + begin, size) : kNoPrefix;
    const AdapterMix mix = slots ? mix_of(classifier, prefix) : AdapterMix{};
    const RecordingKey key{.pass = slots ? RecordingKey::Pass::kMixedInference : RecordingKey::Pass::kInference,
                           .batch = {a.batch.B, a.batch.T, a.batch.max_length},
                           .prefix = prefix,
                           .variants = static_cast<uint64_t>(classifier.selected()) + 1};
    run_recorded(backend, key, [&] {
      classifier.gather(a, false);
      classifier.forward(a, false, slots ? &mix : nullptr);
      backend.keep_logits({classes, slots ? mix.logits : a.heads[classifier.selected()].logits});
    });
    // The host stays close enough to the device that an abort is seen soon.
    if ((batch + 1) % static_cast<size_t>(backend.run_ahead()) == 0) backend.synchronize();
  }
  backend.synchronize();
  backend.read_acc(logits, dtype, run.logits(), count * classes);
}

}  // namespace bertune
