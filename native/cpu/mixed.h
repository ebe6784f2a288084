// Operations on batches of several adapters on the CPU; core/backend.h states the contract.
#pragma once

#include "core/backend.h"
#include "cpu/context.h"

namespace bertune {

template <typename T>
void mixed_lora_forward_add(Context& context, const MixedLoraForwardAdd& args);
template <typename T>
void mixed_linear_forward(Context& context, const MixedLinearForward& args);

}  // namespace bertune
