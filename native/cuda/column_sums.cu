#include "cuda/column_sums.h"
#include "cuda/scalar.cuh"

namespace bertune::cuda {

template <typename T>
void column_sums(Context&, RowCount, int, int, bool, const T*, float*) {
  throw Error("INTERNAL", "column_sums is not written yet");
}
template <typename T>
void layernorm_parameter_sums(Context&, RowCount, int, bool, const T*, const T*, const float*, const float*, float*,
                              float*) {
  throw Error("INTERNAL", "layernorm_parameter_sums is not written yet");
}
template void column_sums<float>(Context&, RowCount, int, int, bool, const float*, float*);
template void column_sums<bf16>(Context&, RowCount, int, int, bool, const bf16*, float*);
template void layernorm_parameter_sums<float>(Context&, RowCount, int, bool, const float*, const float*, const float*,
                                              const float*, float*, float*);
template void layernorm_parameter_sums<bf16>(Context&, RowCount, int, bool, const bf16*, const bf16*, const float*,
                                             const float*, float*, float*);

}  // namespace bertune::cuda
