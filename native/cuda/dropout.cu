// Dropout by itself: out = or += mask · inp / (1 − p), (rows,n). Nothing is saved: the mask is drawn again (device_state.h).
#include "cuda/columns.cuh"
#include "cuda/operations.h"

namespace bertune::cuda {
namespace {

constexpr int kDropoutRows = 8;  // of a block

// Grid: (ceil(rows.padded / 8), ceil(n / (32 · N))); block: (32,8), a warp 32 · N columns of a row.
template <typename T, bool kVector>
__global__ void dropout_kernel(RowCount rows, int n, DropoutMask mask, bool add, const T* inp /* (rows,n) */,
                               T* out /* (rows,n); may be inp */) {
  simt::wait_for_previous();
  constexpr int N = kVectorColumns<T>;
  const int row = static_cast<int>(blockIdx.x) * kDropoutRows + threadIdx.y;
  const int column = static_cast<int>(blockIdx.y * 32 + threadIdx.x) * N;
  if (row >= rows.padded || column >= n) return;
  const size_t at = static_cast<size_t>(row) * n;
  float values[N];
  load_columns<kVector>(values, inp + at, column, n);
  kept_columns<N>(mask, row, column).apply(values);
  clear_unless(row < rows.count(), values);
  if (add) {
    float before[N];
    load_columns<kVector>(before, out + at, column, n);
#pragma unroll
    for (int i = 0; i < N; ++i) values[i] += before[i];
  }
  store_columns<kVector>(out + at, column, n, values);
}

}  // namespace

template <typename T>
void dropout_apply(Context& context, const DropoutApply& args) {
  if (args.rows.count == 0) return;
  constexpr int N = kVectorColumns<T>;
  const T* inp = scalars<T>(args.inp);
  T* out = scalars<T>(args.out);
  const bool vectorizable = is_vectorizable<N>(inp, args.n, args.n) && is_vectorizable<N>(out, args.n, args.n);
  context.launch(vectorizable ? dropout_kernel<T, true> : dropout_kernel<T, false>,
                 dim3(ceil_div(args.rows.count, kDropoutRows), ceil_div(args.n, 32 * N)), dim3(32, kDropoutRows), 0,
                 context.rows(args.rows), args.n, context.dropout(args.dropout, args.rows.kind), args.add_to_out, inp,
                 out);
}

template void dropout_apply<float>(Context&, const DropoutApply&);
template void dropout_apply<bf16>(Context&, const DropoutApply&);

}  // namespace bertune::cuda
