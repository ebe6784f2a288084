// The first token of each sequence.
//
//   forward    out[b] = inp[cu_seqlens[b]]                                   inp (T,C) → out (B,C)
//   backward   dinp[cu_seqlens[b]] = or += dout[b], other rows 0 or as they are
#include "cuda/columns.cuh"
#include "cuda/first_rows.cuh"
#include "cuda/operations.h"

namespace bertune::cuda {
namespace {

constexpr int kBlockRows = 4;  // of a block

// A warp has 32 · N columns of a row.
template <typename T>
dim3 rows_grid(int rows, int C) {
  return dim3(ceil_div(rows, kBlockRows), ceil_div(C, 32 * kVectorColumns<T>));
}
__device__ __forceinline__ int own_row() { return static_cast<int>(blockIdx.x * kBlockRows + threadIdx.y); }
template <int N>
__device__ __forceinline__ int own_column() {
  return static_cast<int>(blockIdx.y * 32 + threadIdx.x) * N;
}

// Grid: (ceil(B / 4), ceil(C / (32 · N))); block: (32,4). B and T are padded, here and below.
template <typename T, bool kVector>
__global__ void first_rows_forward_kernel(RowCount sequences, int C, int inp_stride,
                                          const int32_t* cu_seqlens /* (B + 1) */, const T* inp /* (T,C) */,
                                          T* out /* (B,C) */) {
  simt::wait_for_previous();
  constexpr int N = kVectorColumns<T>;
  const int b = own_row(), column = own_column<N>();
  if (b >= sequences.padded) return;
  float values[N] = {};
  if (b < sequences.count()) {
    load_columns<kVector>(values, inp + static_cast<size_t>(cu_seqlens[b]) * inp_stride, column, C);
  }
  store_columns<kVector>(out + static_cast<size_t>(b) * C, column, C, values);
}

// Grid: (ceil(B / 4), ceil(C / (32 · N))); block: (32,4).
template <typename T, bool kVector>
__global__ void add_first_rows_kernel(RowCount sequences, int C, const int32_t* cu_seqlens /* (B + 1) */,
                                      const T* dout /* (B,C) */, T* dinp /* (T,C) */) {
  simt::wait_for_previous();
  constexpr int N = kVectorColumns<T>;
  const int b = own_row(), column = own_column<N>();
  if (b >= sequences.count()) return;
  T* to = dinp + static_cast<size_t>(cu_seqlens[b]) * C;
  float sum[N], gradient[N];
  load_columns<kVector>(sum, to, column, C);
  load_columns<kVector>(gradient, dout + static_cast<size_t>(b) * C, column, C);
#pragma unroll
  for (int i = 0; i < N; ++i) sum[i] += gradient[i];
  store_columns<kVector>(to, column, C, sum);
}

// Grid: (ceil(T / 4), ceil(C / (32 · N))); block: (32,4).
template <typename T, bool kVector>
__global__ void spread_first_rows_kernel(RowCount sequences, int tokens, int C, const int32_t* cu_seqlens /* (B + 1) */,
                                         const T* dout /* (B,C) */, T* dinp /* (T,C) */) {
  simt::wait_for_previous();
  constexpr int N = kVectorColumns<T>;
  const int t = own_row(), column = own_column<N>();
  if (t >= tokens) return;
  const int b = sequence_from(t, sequences.count(), cu_seqlens);
  float values[N] = {};
  if (b >= 0) load_columns<kVector>(values, dout + static_cast<size_t>(b) * C, column, C);
  store_columns<kVector>(dinp + static_cast<size_t>(t) * C, column, C, values);
}

}  // namespace

template <typename T>
void first_rows_forward(Context& context, const FirstRowsForward& args) {
  constexpr int N = kVectorColumns<T>;
  const Batch& batch = context.batch;
  const int C = args.C;
  const T* inp = scalars<T>(args.inp);
  T* out = scalars<T>(args.out);
  const bool vectorizable = is_vectorizable<N>(inp, C, args.inp_stride) && is_vectorizable<N>(out, C, C);
  context.launch(vectorizable ? first_rows_forward_kernel<T, true> : first_rows_forward_kernel<T, false>,
                 rows_grid<T>(batch.B, C), dim3(32, kBlockRows), 0, context.rows({RowKind::kSequences, batch.B}), C,
                 args.inp_stride, batch.cu_seqlens, inp, out);
}

template <typename T>
void first_rows_backward(Context& context, const FirstRowsBackward& args) {
  constexpr int N = kVectorColumns<T>;
  const Batch& batch = context.batch;
  const int C = args.C;
  const T* dout = scalars<T>(args.dout);
  T* dinp = scalars<T>(args.dinp);
  const bool vectorizable = is_vectorizable<N>(dout, C, C) && is_vectorizable<N>(dinp, C, C);
  const RowCount sequences = context.rows({RowKind::kSequences, batch.B});
  if (args.add_to_dinp) {
    context.launch(vectorizable ? add_first_rows_kernel<T, true> : add_first_rows_kernel<T, false>,
                   rows_grid<T>(batch.B, C), dim3(32, kBlockRows), 0, sequences, C, batch.cu_seqlens, dout, dinp);
  } else {
    context.launch(vectorizable ? spread_first_rows_kernel<T, true> : spread_first_rows_kernel<T, false>,
                   rows_grid<T>(batch.T, C), dim3(32, kBlockRows), 0, sequences, batch.T, C, batch.cu_seqlens, dout,
                   dinp);
  }
}

template void first_rows_forward<float>(Context&, const FirstRowsForward&);
template void first_rows_forward<bf16>(Context&, const FirstRowsForward&);
template void first_rows_backward<float>(Context&, const FirstRowsBackward&);
template void first_rows_backward<bf16>(Context&, const FirstRowsBackward&);

}  // namespace bertune::cuda
