#include "cuda/scalar.cuh"
#include "cuda/weights.h"

namespace bertune::cuda {

template <typename T>
void write_weight(Context&, Real*, Master*, const void*, Dtype, int64_t) {
  throw Error("INTERNAL", "write_weight is not written yet");
}
template <typename T>
void read_weight(Context&, void*, Dtype, const Real*, const Master*, int64_t) {
  throw Error("INTERNAL", "read_weight is not written yet");
}
template <typename Scalar>
void write_scalars(Context&, Scalar*, const void*, Dtype, int64_t) {
  throw Error("INTERNAL", "write_scalars is not written yet");
}
template <typename Scalar>
void read_scalars(Context&, void*, Dtype, const Scalar*, int64_t) {
  throw Error("INTERNAL", "read_scalars is not written yet");
}
#define BERTUNE_INSTANTIATE(T)                                                               \
  template void write_weight<T>(Context&, Real*, Master*, const void*, Dtype, int64_t);      \
  template void read_weight<T>(Context&, void*, Dtype, const Real*, const Master*, int64_t); \
  template void write_scalars<T>(Context&, T*, const void*, Dtype, int64_t);                 \
  template void read_scalars<T>(Context&, void*, Dtype, const T*, int64_t);
BERTUNE_INSTANTIATE(float)
BERTUNE_INSTANTIATE(bf16)
#undef BERTUNE_INSTANTIATE

}  // namespace bertune::cuda
