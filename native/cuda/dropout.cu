#include "cuda/dropout.h"
#include "cuda/scalar.cuh"

namespace bertune::cuda {

template <typename T>
void dropout_apply(Context&, const DropoutApply&) {
  throw Error("INTERNAL", "dropout_apply is not written yet");
}

template void dropout_apply<float>(Context&, const DropoutApply&);
template void dropout_apply<bf16>(Context&, const DropoutApply&);

}  // namespace bertune::cuda
