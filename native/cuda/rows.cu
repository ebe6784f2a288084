#include "cuda/rows.h"
#include "cuda/scalar.cuh"

namespace bertune::cuda {

template <typename T>
void first_rows_forward(Context&, const FirstRowsForward&) {
  throw Error("INTERNAL", "first_rows_forward is not written yet");
}
template <typename T>
void first_rows_backward(Context&, const FirstRowsBackward&) {
  throw Error("INTERNAL", "first_rows_backward is not written yet");
}

template void first_rows_forward<float>(Context&, const FirstRowsForward&);
template void first_rows_forward<bf16>(Context&, const FirstRowsForward&);
template void first_rows_backward<float>(Context&, const FirstRowsBackward&);
template void first_rows_backward<bf16>(Context&, const FirstRowsBackward&);

}  // namespace bertune::cuda
