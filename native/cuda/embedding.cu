#include "cuda/embedding.h"
#include "cuda/scalar.cuh"

namespace bertune::cuda {

template <typename T>
void embedding_forward(Context&, const EmbeddingForward&) {
  throw Error("INTERNAL", "embedding_forward is not written yet");
}
template <typename T>
void embedding_backward(Context&, const EmbeddingBackward&) {
  throw Error("INTERNAL", "embedding_backward is not written yet");
}

template void embedding_forward<float>(Context&, const EmbeddingForward&);
template void embedding_forward<bf16>(Context&, const EmbeddingForward&);
template void embedding_backward<float>(Context&, const EmbeddingBackward&);
template void embedding_backward<bf16>(Context&, const EmbeddingBackward&);

}  // namespace bertune::cuda
