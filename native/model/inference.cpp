#include "model/inference.h"

#include <algorithm>

#include "core/error.h"
#include "model/recorded.h"

namespace bertune {
namespace {

// Examples of the batch that starts at order[0]: as many as the limits allow, at least one.
int batch_at(const Dataset& dataset, const int32_t* order, int64_t count, const BatchLimits& limits) {
  int batch = 0;
  int64_t tokens = 0;
  while (batch < count && batch < limits.sequences) {
    tokens += dataset.length(order[batch]);
    if (batch > 0 && tokens > limits.tokens) break;
    ++batch;
  }
  return batch;
}

}  // namespace

void infer(Bert& bert, const Dataset& dataset, const int32_t* order, int64_t count, BatchLimits limits, Dtype dtype,
           void* logits, const std::function<bool()>& proceed) {
  if (count == 0) return;
  Backend& backend = bert.backend();
  for (int64_t i = 0; i < count; ++i) limits.tokens = std::max(limits.tokens, dataset.length(order[i]));
  bert.reserve({}, limits);
  RunMemory& run = bert.run();
  run.reserve(count, 0, true);
  run.write_order(order, count);
  bert.prepare_inference();
  const int NC = bert.config().NC;
  int64_t done = 0;
  for (int ahead = 1; done < count; ++ahead) {
    if (!proceed()) throw Error("ABORTED", "The work was aborted");
    const int batch = batch_at(dataset, order + done, count - done, limits);
    Activations& a = bert.size_batch(dataset, order + done, batch, false);
    backend.begin_step({.seed = 0,
                        .dropout_step = 0,
                        .step = 0,
                        .learning_rate = 0,
                        .order_begin = static_cast<int32_t>(done),
                        .B = a.live.B,
                        .T = a.live.T,
                        .slot = 0});
    const RecordingKey key{{0, reinterpret_cast<int64_t>(&dataset), a.batch.B, a.batch.T, a.batch.max_length, 0, 0, 0}};
    run_recorded(backend, key, [&] {
      bert.gather(a, dataset, false);
      bert.forward(a, false);
      backend.keep_logits({NC, a.head.logits, run.logits()});
    });
    done += batch;
    // The host stays close enough to the device that an abort is seen soon.
    if (ahead % backend.run_ahead() == 0) backend.synchronize();
  }
  backend.synchronize();
  backend.read_acc(logits, dtype, run.logits(), count * NC);
}

}  // namespace bertune
