#include "cuda/keep.h"
#include "cuda/scalar.cuh"

namespace bertune::cuda {

template <typename T>
void keep_step(Context&, const KeepStep&) {
  throw Error("INTERNAL", "keep_step is not written yet");
}
template void keep_step<float>(Context&, const KeepStep&);
template void keep_step<bf16>(Context&, const KeepStep&);
template <typename T>
void keep_logits(Context&, const KeepLogits&) {
  throw Error("INTERNAL", "keep_logits is not written yet");
}
template void keep_logits<float>(Context&, const KeepLogits&);
template void keep_logits<bf16>(Context&, const KeepLogits&);

}  // namespace bertune::cuda
