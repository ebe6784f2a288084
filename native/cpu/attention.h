// Attention on the CPU; core/backend.h states the contract.
#pragma once

#include "core/backend.h"
#include "cpu/context.h"

namespace bertune {

template <typename T>
void attention_forward(Context& context, const AttentionForward& args);
template <typename T>
void attention_backward(Context& context, const AttentionBackward& args);

}  // namespace bertune
