#include "cuda/linear.h"
#include "cuda/scalar.cuh"

namespace bertune::cuda {

template <typename T>
void linear_forward(Context&, const LinearForward&) {
  throw Error("INTERNAL", "linear_forward is not written yet");
}
template <typename T>
void linear_backward_input(Context&, const LinearBackwardInput&) {
  throw Error("INTERNAL", "linear_backward_input is not written yet");
}
template <typename T>
void linear_backward_weight(Context&, const LinearBackwardWeight&) {
  throw Error("INTERNAL", "linear_backward_weight is not written yet");
}

template void linear_forward<float>(Context&, const LinearForward&);
template void linear_forward<bf16>(Context&, const LinearForward&);
template void linear_backward_input<float>(Context&, const LinearBackwardInput&);
template void linear_backward_input<bf16>(Context&, const LinearBackwardInput&);
template void linear_backward_weight<float>(Context&, const LinearBackwardWeight&);
template void linear_backward_weight<bf16>(Context&, const LinearBackwardWeight&);

}  // namespace bertune::cuda
