// Activations by themselves, forward and backward: GELU (erf and tanh), tanh, ReLU, SiLU. T: float or bf16, as in all
// operations.
#pragma once

#include "cuda/context.h"

namespace bertune::cuda {

template <typename T>
void activation_forward(Context& context, const ActivationForward& args);
template <typename T>
void activation_backward(Context& context, const ActivationBackward& args);

}  // namespace bertune::cuda
