// Low-rank updates on the CPU; core/backend.h states the contract.
#pragma once

#include "core/backend.h"
#include "cpu/context.h"

namespace bertune {

template <typename T>
void lora_forward_add(Context& context, const LoraForwardAdd& args);
template <typename T>
void lora_backward(Context& context, const LoraBackward& args);

}  // namespace bertune
