// Gradients of biases and of LayerNorm's parameters:
//
//   dbeta (n) = Σ dout,  dgamma (n) = Σ dout · (sum − mean) · rstd        over the rows of dout (rows,n)
//
// In the order in which they are summed beside other gradients: a bias's over all rows, by the thread of its column; a
// LayerNorm's over each thread's rows, then over the threads.
#include "cpu/row_sums.h"

#include "cpu/layernorm.h"
#include "cpu/operations.h"
#include "cpu/scalar.h"

namespace bertune {
namespace {

template <typename T>
void sum_bias(Context& context, const RowSum& args, bool accumulate) {
  context.for_columns(args.n, [&](int, Range columns) {
    sum_columns(columns, args.rows.count, scalars<T>(args.dout), args.dout_stride, accumulate, scalars<T>(args.dbeta));
  });
}

template <typename T>
void sum_layernorm(Context& context, const RowSum& args, bool accumulate) {
  const int C = args.n;
  const T* dout = scalars<T>(args.dout);
  const T* sum = scalars<T>(args.sum);
  const T* mean = scalars<T>(args.mean);
  const T* rstd = scalars<T>(args.rstd);
  T* partials = affine_partials<T>(context, C);
  context.for_rows(args.rows, [&](int thread, Range rows) {
    T* dgamma = partials + static_cast<size_t>(thread) * 2 * C;
    T* dbeta = dgamma + C;
    for (int row = rows.begin; row < rows.end; ++row) {
      const T* d = dout + static_cast<size_t>(row) * args.dout_stride;
      const T* x = sum + static_cast<size_t>(row) * C;
      const T m = mean[row], r = rstd[row];
#pragma omp simd
      for (int i = 0; i < C; ++i) {
        dgamma[i] += d[i] * ((x[i] - m) * r);
        dbeta[i] += d[i];
      }
    }
  });
  add_affine_partials(context, C, partials, accumulate, scalars<T>(args.dgamma), scalars<T>(args.dbeta));
}

}  // namespace

template <typename T>
void sum_rows(Context& context, const SumRows& args) {
  for (int i = 0; i < args.count; ++i) {
    const RowSum& sum = args.sums[i];
    if (sum.sum != nullptr) {
      sum_layernorm<T>(context, sum, args.accumulate);
    } else if (sum.dbeta != nullptr) {
      sum_bias<T>(context, sum, args.accumulate);
    }
  }
}

template void sum_rows<float>(Context&, const SumRows&);
template void sum_rows<double>(Context&, const SumRows&);

}  // namespace bertune
