// Variable-length attention with dropout and prefix keys, forward and backward.
#pragma once

#include "cuda/context.h"

namespace bertune::cuda {

// Head sizes up to this are taken.
constexpr int kMaxHeadSize = 128;

template <typename T>
void attention_forward(Context& context, const AttentionForward& args);
template <typename T>
void attention_backward(Context& context, const AttentionBackward& args);

}  // namespace bertune::cuda
