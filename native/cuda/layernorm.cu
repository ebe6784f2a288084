#include "cuda/layernorm.h"
#include "cuda/scalar.cuh"

namespace bertune::cuda {

template <typename T>
void dropout_residual_layernorm_forward(Context&, const DropoutResidualLayernormForward&) {
  throw Error("INTERNAL", "dropout_residual_layernorm_forward is not written yet");
}
template <typename T>
void dropout_residual_layernorm_backward(Context&, const DropoutResidualLayernormBackward&) {
  throw Error("INTERNAL", "dropout_residual_layernorm_backward is not written yet");
}

template void dropout_residual_layernorm_forward<float>(Context&, const DropoutResidualLayernormForward&);
template void dropout_residual_layernorm_forward<bf16>(Context&, const DropoutResidualLayernormForward&);
template void dropout_residual_layernorm_backward<float>(Context&, const DropoutResidualLayernormBackward&);
template void dropout_residual_layernorm_backward<bf16>(Context&, const DropoutResidualLayernormBackward&);

}  // namespace bertune::cuda
