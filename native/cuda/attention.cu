#include "cuda/attention.h"
#include "cuda/scalar.cuh"

namespace bertune::cuda {

template <typename T>
void attention_forward(Context&, const AttentionForward&) {
  throw Error("INTERNAL", "attention_forward is not written yet");
}
template <typename T>
void attention_backward(Context&, const AttentionBackward&) {
  throw Error("INTERNAL", "attention_backward is not written yet");
}

template void attention_forward<float>(Context&, const AttentionForward&);
template void attention_forward<bf16>(Context&, const AttentionForward&);
template void attention_backward<float>(Context&, const AttentionBackward&);
template void attention_backward<bf16>(Context&, const AttentionBackward&);

}  // namespace bertune::cuda
