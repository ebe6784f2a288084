// Operations on batches of several adapters.
#pragma once

#include "cuda/context.h"

namespace bertune::cuda {

template <typename T>
void mixed_lora_forward_add(Context& context, const MixedLoraForwardAdd& args);
template <typename T>
void mixed_linear_forward(Context& context, const MixedLinearForward& args);

}  // namespace bertune::cuda
