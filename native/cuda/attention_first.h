// Attention of the first token of each sequence only: see AttentionForward.first_only.
#pragma once

#include "cuda/context.h"

namespace bertune::cuda {

template <typename T>
void attention_first_forward(Context& context, const AttentionForward& args);
// Writes prefix_partials, but does not sum them.
template <typename T>
void attention_first_backward(Context& context, const AttentionBackward& args);

}  // namespace bertune::cuda
