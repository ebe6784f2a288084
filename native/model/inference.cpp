#include "model/inference.h"

#include <algorithm>

#include "core/error.h"

namespace bertune {

void infer(Bert& bert, const Dataset& dataset, const int32_t* order, int64_t count, BatchLimits limits, Dtype dtype,
           void* logits, const std::function<bool()>& proceed) {
  Backend& backend = bert.backend();
  for (int64_t i = 0; i < count; ++i) limits.tokens = std::max(limits.tokens, dataset.length(order[i]));
  bert.reserve({}, limits);
  const int NC = bert.config().NC;
  const size_t row_bytes = NC * (dtype == Dtype::kF64 ? sizeof(double) : sizeof(float));
  for (int64_t done = 0; done < count;) {
    if (!proceed()) throw Error("ABORTED", "The work was aborted");
    int batch = 0;
    int64_t tokens = 0;
    while (done + batch < count && batch < limits.sequences) {
      const int length = dataset.length(order[done + batch]);
      if (batch > 0 && tokens + length > limits.tokens) break;
      tokens += length;
      ++batch;
    }
    Activations& a = bert.gather(dataset, order + done, batch, false);
    bert.forward(a, false);
    backend.synchronize();
    uint8_t* out = static_cast<uint8_t*>(logits) + done * row_bytes;
    backend.read_real(out, dtype, a.head.logits, static_cast<int64_t>(batch) * NC);
    done += batch;
  }
}

}  // namespace bertune
