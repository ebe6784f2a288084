#include "cuda/activation.h"
#include "cuda/scalar.cuh"

namespace bertune::cuda {

template <typename T>
void activation_forward(Context&, const ActivationForward&) {
  throw Error("INTERNAL", "activation_forward is not written yet");
}
template <typename T>
void activation_backward(Context&, const ActivationBackward&) {
  throw Error("INTERNAL", "activation_backward is not written yet");
}

template void activation_forward<float>(Context&, const ActivationForward&);
template void activation_forward<bf16>(Context&, const ActivationForward&);
template void activation_backward<float>(Context&, const ActivationBackward&);
template void activation_backward<bf16>(Context&, const ActivationBackward&);

}  // namespace bertune::cuda
