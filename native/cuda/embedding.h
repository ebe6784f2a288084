// Embeddings + LayerNorm + dropout, forward and backward.
#pragma once

#include "cuda/context.h"

namespace bertune::cuda {

template <typename T>
void embedding_forward(Context& context, const EmbeddingForward& args);
template <typename T>
void embedding_backward(Context& context, const EmbeddingBackward& args);

}  // namespace bertune::cuda
