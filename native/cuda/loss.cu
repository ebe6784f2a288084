#include "cuda/loss.h"
#include "cuda/scalar.cuh"

namespace bertune::cuda {

template <typename T>
void cross_entropy(Context&, const CrossEntropy&) {
  throw Error("INTERNAL", "cross_entropy is not written yet");
}

template void cross_entropy<float>(Context&, const CrossEntropy&);
template void cross_entropy<bf16>(Context&, const CrossEntropy&);

}  // namespace bertune::cuda
