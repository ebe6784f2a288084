// sum = residual + dropout(inp);   out = (sum − mean) · rstd · gamma + beta,   rstd = 1 / √(variance + eps)
//
// Over the C columns of each row; the variance takes a second pass over the row. Saved: sum (rows,C), mean and rstd
// (rows). Backward, with x̂ = (sum − mean) · rstd and g = dout · gamma:
//
//   dsum   = rstd · (g − mean(g) − x̂ · mean(g · x̂))
//   dgamma = Σ rows of dout · x̂,    dbeta = Σ rows of dout
//
// dresidual is dsum and dinp its dropout. Each thread sums dgamma and dbeta over its rows, then the threads' sums are
// added in order.
#include "cpu/layernorm.h"

#include <algorithm>
#include <cmath>

#include "cpu/dropout.h"
#include "cpu/operations.h"
#include "cpu/scalar.h"

namespace bertune {

template <typename T>
void layernorm_row(int C, T eps, const T* sum, const T* gamma, const T* beta, T* mean, T* rstd, T* out) {
  T total = 0;
#pragma omp simd reduction(+ : total)
  for (int i = 0; i < C; ++i) total += sum[i];
  const T m = total / T(C);
  T squares = 0;
#pragma omp simd reduction(+ : squares)
  for (int i = 0; i < C; ++i) squares += (sum[i] - m) * (sum[i] - m);
  const T r = T(1) / std::sqrt(squares / T(C) + eps);
#pragma omp simd
  for (int i = 0; i < C; ++i) out[i] = (sum[i] - m) * r * gamma[i] + beta[i];
  *mean = m;
  *rstd = r;
}

template <typename T>
void layernorm_row_backward(int C, const T* dout, const T* sum, T mean, T rstd, const T* gamma, T* dsum, T* dgamma,
                            T* dbeta) {
  T total = 0, projection = 0;  // Σ g, Σ g · x̂
#pragma omp simd reduction(+ : total, projection)
  for (int i = 0; i < C; ++i) {
    const T normalized = (sum[i] - mean) * rstd;
    const T g = dout[i] * gamma[i];
    total += g;
    projection += g * normalized;
  }
  if (dgamma != nullptr) {
#pragma omp simd
    for (int i = 0; i < C; ++i) {
      dgamma[i] += dout[i] * ((sum[i] - mean) * rstd);
      dbeta[i] += dout[i];
    }
  }
  if (dsum == nullptr) return;
  total /= T(C);
  projection /= T(C);
#pragma omp simd
  for (int i = 0; i < C; ++i) {
    const T normalized = (sum[i] - mean) * rstd;
    dsum[i] = rstd * (dout[i] * gamma[i] - total - normalized * projection);
  }
}

template <typename T>
T* affine_partials(Context& context, int C) {
  const size_t count = static_cast<size_t>(context.threads()) * 2 * C;
  T* partials = context.shared_scratch<T>(count);
  std::fill_n(partials, count, T(0));
  return partials;
}

template <typename T>
void add_affine_partials(const Context& context, int C, const T* partials, bool accumulate, T* dgamma, T* dbeta) {
  T* const gradients[] = {dgamma, dbeta};
  for (int which = 0; which < 2; ++which) {
    T* gradient = gradients[which];
    if (gradient == nullptr) continue;
    if (!accumulate) std::fill_n(gradient, C, T(0));
    for (int thread = 0; thread < context.threads(); ++thread) {
      const T* partial = partials + (static_cast<size_t>(thread) * 2 + which) * C;
#pragma omp simd
      for (int i = 0; i < C; ++i) gradient[i] += partial[i];
    }
  }
}

template <typename T>
void dropout_residual_layernorm_forward(Context& context, const DropoutResidualLayernormForward& args) {
  const T* inp = scalars<T>(args.inp);
  const T* residual = scalars<T>(args.residual);
  const T* gamma = scalars<T>(args.gamma);
  const T* beta = scalars<T>(args.beta);
  T* sum = scalars<T>(args.sum);
  T* mean = scalars<T>(args.mean);
  T* rstd = scalars<T>(args.rstd);
  T* out = scalars<T>(args.out);
  const int C = args.C;
  context.for_rows(args.rows, [&](int, Range rows) {
    for (int row = rows.begin; row < rows.end; ++row) {
      const size_t at = static_cast<size_t>(row) * C;
      dropout_row(context.step.seed, args.dropout, context.place(args.rows.kind, row), C, inp + at, sum + at);
      if (residual != nullptr) {
#pragma omp simd
        for (int i = 0; i < C; ++i) sum[at + i] += residual[at + i];
      }
      layernorm_row(C, T(args.eps), sum + at, gamma, beta, mean + row, rstd + row, out + at);
    }
  });
  if (args.first) first_rows_forward<T>(context, {C, C, args.out, args.first});
}

template <typename T>
void dropout_residual_layernorm_backward(Context& context, const DropoutResidualLayernormBackward& args) {
  const T* dout = scalars<T>(args.dout);
  const T* sum = scalars<T>(args.sum);
  const T* mean = scalars<T>(args.mean);
  const T* rstd = scalars<T>(args.rstd);
  const T* gamma = scalars<T>(args.gamma);
  T* dresidual = scalars<T>(args.dresidual);
  T* dinp = scalars<T>(args.dinp);
  const int C = args.C;
  const bool affine = args.dgamma != nullptr || args.dbeta != nullptr;
  T* partials = affine ? affine_partials<T>(context, C) : nullptr;
  context.for_rows(args.rows, [&](int thread, Range rows) {
    T* dgamma = affine ? partials + static_cast<size_t>(thread) * 2 * C : nullptr;
    T* dbeta = affine ? dgamma + C : nullptr;
    for (int row = rows.begin; row < rows.end; ++row) {
      const size_t at = static_cast<size_t>(row) * C;
      layernorm_row_backward(C, dout + at, sum + at, mean[row], rstd[row], gamma,
                             dresidual != nullptr ? dresidual + at : nullptr, dgamma, dbeta);
      if (dinp == nullptr) continue;
      dropout_row(context.step.seed, args.dropout, context.place(args.rows.kind, row), C, dresidual + at, dinp + at);
    }
  });
  if (affine) {
    add_affine_partials(context, C, partials, args.accumulate, scalars<T>(args.dgamma), scalars<T>(args.dbeta));
  }
}

#define BERTUNE_INSTANTIATE(T)                                                                           \
  template void layernorm_row(int, T, const T*, const T*, const T*, T*, T*, T*);                         \
  template void layernorm_row_backward(int, const T*, const T*, T, T, const T*, T*, T*, T*);             \
  template T* affine_partials(Context&, int);                                                            \
  template void add_affine_partials(const Context&, int, const T*, bool, T*, T*);                        \
  template void dropout_residual_layernorm_forward<T>(Context&, const DropoutResidualLayernormForward&); \
  template void dropout_residual_layernorm_backward<T>(Context&, const DropoutResidualLayernormBackward&);
BERTUNE_INSTANTIATE(float)
BERTUNE_INSTANTIATE(double)
#undef BERTUNE_INSTANTIATE

}  // namespace bertune
