// dropout + residual + LayerNorm.
//
//   forward    inp (rows,C) → sum = residual + dropout(inp) → out (rows,C) = x̂ · gamma + beta
//   backward   g = dout · gamma → dsum = rstd · (g − Σ g / C − x̂ · Σ g x̂ / C) → dresidual = dsum, dinp = dropout(dsum)
//
// with x̂ = (sum − mean) · rstd and Σ over the columns of a row.
//
// Saved: sum as it is stored, mean and rstd (layernorm_row.cuh). dgamma and dbeta are sums over rows (column_sums.h),
// made before dresidual is written, which may be dout.
#include "cuda/column_sums.h"
#include "cuda/first_rows.cuh"
#include "cuda/layernorm_row.cuh"
#include "cuda/operations.h"

namespace bertune::cuda {
namespace {

// Where the first rows of sequences go as well.
template <typename T>
struct FirstRows {
  RowCount sequences;
  const int32_t* cu_seqlens;  // (B + 1)
  T* out;                     // (B,C) or null

  // Copies `row` (C) by its team, each thread what it wrote itself; and clears the row of a sequence that is not live.
  template <int K>
  __device__ __forceinline__ void store(const T* row, int index, int rows, int C) const {
    const int live = sequences.count(), sequence = sequence_from(index, live, cu_seqlens);
    if (sequence >= 0) store_row<K>(row, out + static_cast<size_t>(sequence) * C, C);
    for (int b = index; b < sequences.padded; b += rows) {
      if (b >= live) store_row<K>(nullptr, out + static_cast<size_t>(b) * C, C);
    }
  }

 private:
  template <int K>
  __device__ __forceinline__ static void store_row(const T* from, T* to, int C) {
    float values[kRowVector] = {};
    if constexpr (K > 0) {
#pragma unroll
      for (int k = 0; k < K; ++k) {
        const int column = RowTeam<K>::column(k);
        if (from) load_columns<true>(values, from, column, C);
        store_columns<true>(to, column, C, values);
      }
    } else {
      for (int column = RowTeam<0>::column(); column < C; column += RowTeam<0>::kStep) {
        if (from) load_columns<false>(values, from, column, C);
        store_columns<false>(to, column, C, values);
      }
    }
  }
};

// Grid: ceil(rows.padded / RowTeam::kRows); block: RowTeam::kThreads.
template <typename T, int K>
__global__ void layernorm_forward_kernel(RowCount rows, LayernormForward<T> args, ResidualInput<T> input,
                                         FirstRows<T> first) {
  simt::wait_for_previous();
  const int row = RowTeam<K>::row();
  if (row >= rows.padded) return;
  layernorm_forward_row<T, K, DropoutAt::kInput>(args, row, row < rows.count(), input);
  if (first.out == nullptr) return;
  first.template store<K>(args.out + static_cast<size_t>(row) * args.C, row, rows.padded, args.C);
}

// Grid: ceil(rows.padded / RowTeam::kRows); block: RowTeam::kThreads.
template <typename T, int K>
__global__ void layernorm_backward_kernel(RowCount rows, LayernormBackward<T> args) {
  simt::wait_for_previous();
  const int row = RowTeam<K>::row();
  if (row >= rows.padded) return;
  layernorm_backward_row<T, K, DropoutAt::kInput>(args, row, row < rows.count());
}

}  // namespace

template <typename T>
void dropout_residual_layernorm_forward(Context& context, const DropoutResidualLayernormForward& args) {
  if (args.rows.count == 0) return;
  const int C = args.C;
  const LayernormForward<T> norm{C,
                                 static_cast<float>(args.eps),
                                 scalars<T>(args.gamma),
                                 scalars<T>(args.beta),
                                 scalars<T>(args.sum),
                                 floats(args.mean),
                                 floats(args.rstd),
                                 scalars<T>(args.out),
                                 context.dropout(args.dropout, args.rows.kind)};
  const ResidualInput<T> input{scalars<T>(args.inp), scalars<T>(args.residual)};
  const FirstRows<T> first{context.rows({RowKind::kSequences, context.batch.B}), context.batch.cu_seqlens,
                           scalars<T>(args.first)};
  const bool vectorizable =
      is_vectorizable<kRowVector>(input.inp, C, C) && is_vectorizable<kRowVector>(input.residual, C, C) &&
      is_vectorizable<kRowVector>(norm.gamma, C, C) && is_vectorizable<kRowVector>(norm.beta, C, C) &&
      is_vectorizable<kRowVector>(norm.sum, C, C) && is_vectorizable<kRowVector>(norm.out, C, C) &&
      is_vectorizable<kRowVector>(first.out, C, C);
  with_row_team(C, vectorizable, [&](auto vectors) {
    constexpr int K = decltype(vectors)::value;
    context.launch(layernorm_forward_kernel<T, K>, ceil_div(args.rows.count, RowTeam<K>::kRows), RowTeam<K>::kThreads,
                   0, context.rows(args.rows), norm, input, first);
  });
}

template <typename T>
void dropout_residual_layernorm_backward(Context& context, const DropoutResidualLayernormBackward& args) {
  const LayernormBackward<T> norm = layernorm_backward_of<T>(context, args);
  const RowCount rows = context.rows(args.rows);
  layernorm_parameter_sums(context, rows, args.C, args.accumulate, norm.dout, norm.sum, norm.mean, norm.rstd,
                           floats(args.dgamma), floats(args.dbeta));
  if (args.rows.count == 0 || norm.dsum == nullptr) return;
  with_row_team(args.C, backward_is_vectorizable(norm), [&](auto vectors) {
    constexpr int K = decltype(vectors)::value;
    context.launch(layernorm_backward_kernel<T, K>, ceil_div(args.rows.count, RowTeam<K>::kRows), RowTeam<K>::kThreads,
                   0, rows, norm);
  });
}

template void dropout_residual_layernorm_forward<float>(Context&, const DropoutResidualLayernormForward&);
template void dropout_residual_layernorm_forward<bf16>(Context&, const DropoutResidualLayernormForward&);
template void dropout_residual_layernorm_backward<float>(Context&, const DropoutResidualLayernormBackward&);
template void dropout_residual_layernorm_backward<bf16>(Context&, const DropoutResidualLayernormBackward&);

}  // namespace bertune::cuda
