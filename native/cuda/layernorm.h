// dropout + residual + LayerNorm, forward and backward.
#pragma once

#include "cuda/context.h"

namespace bertune::cuda {

template <typename T>
void dropout_residual_layernorm_forward(Context& context, const DropoutResidualLayernormForward& args);
template <typename T>
void dropout_residual_layernorm_backward(Context& context, const DropoutResidualLayernormBackward& args);

}  // namespace bertune::cuda
