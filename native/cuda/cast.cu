#include "cuda/cast.h"
#include "cuda/scalar.cuh"

namespace bertune::cuda {

template <typename T>
void cast_to_real(Context&, const CastToReal&) {
  throw Error("INTERNAL", "cast_to_real is not written yet");
}
template <typename T>
void cast_to_acc(Context&, const CastToAcc&) {
  throw Error("INTERNAL", "cast_to_acc is not written yet");
}

template void cast_to_real<float>(Context&, const CastToReal&);
template void cast_to_real<bf16>(Context&, const CastToReal&);
template void cast_to_acc<float>(Context&, const CastToAcc&);
template void cast_to_acc<bf16>(Context&, const CastToAcc&);

}  // namespace bertune::cuda
