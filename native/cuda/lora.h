// Low-rank updates, forward and backward.
#pragma once

#include "cuda/context.h"

namespace bertune::cuda {

template <typename T>
void lora_forward_add(Context& context, const LoraForwardAdd& args);
template <typename T>
void lora_backward(Context& context, const LoraBackward& args);

}  // namespace bertune::cuda
