// Gradients of linears on LayerNorms' outputs, and of those LayerNorms. With x̂ = (sum − mean) · rstd:
//
//   dbias (n) = Σ dout (rows,n),  product (n,k) = doutᵀ · x̂ (rows,k)
//   dweight (n,k) = gamma · product + beta · dbias,  dgamma (k) = Σ_n weight (n,k) · product,  dbeta (k) = weightᵀ · dbias
//
// Threads take columns of k; the first also makes dbias.
#include <algorithm>
#include <type_traits>

#include "cpu/operations.h"
#include "cpu/scalar.h"

namespace bertune {
namespace {

template <typename T>
void put(T* gradient, size_t at, T value, bool accumulate) {
  if (gradient) gradient[at] = accumulate ? gradient[at] + value : value;
}

// Row i of `product`, its `columns` alone. Returns dbias[i].
template <typename T>
T product_row(const NormedLinear& args, int i, Range columns, T* product) {
  T bias = 0;
  std::fill_n(product, columns.size(), T(0));
  for (int row = 0; row < args.rows.count; ++row) {
    const T d = scalars<T>(args.dout)[static_cast<size_t>(row) * args.n + i];
    const T mean = scalars<T>(args.mean)[row], rstd = scalars<T>(args.rstd)[row];
    const T* sum = scalars<T>(args.sum) + static_cast<size_t>(row) * args.k + columns.begin;
    bias += d;
#pragma omp simd
    for (int c = 0; c < columns.size(); ++c) product[c] += d * ((sum[c] - mean) * rstd);
  }
  return bias;
}

template <typename T>
void make_columns(const NormedLinear& args, Range columns, bool accumulate, T* scratch /* (3, columns) */) {
  const int width = columns.size();
  const T* gamma = scalars<T>(args.gamma) + columns.begin;
  const T* beta = scalars<T>(args.beta) + columns.begin;
  T *product = scratch, *dgamma = scratch + width, *dbeta = dgamma + width;
  std::fill_n(dgamma, 2 * width, T(0));
  for (int i = 0; i < args.n; ++i) {
    const T bias = product_row(args, i, columns, product);
    const size_t at = static_cast<size_t>(i) * args.k + columns.begin;
    const T* weight = scalars<T>(args.weight) + at;
    for (int c = 0; c < width; ++c) {
      dgamma[c] += weight[c] * product[c];
      dbeta[c] += weight[c] * bias;
      put(scalars<T>(args.dweight), at + c, gamma[c] * product[c] + beta[c] * bias, accumulate);
    }
    if (columns.begin == 0) put(scalars<T>(args.dbias), i, bias, accumulate);
  }
  for (int c = 0; c < width; ++c) {
    put(scalars<T>(args.dgamma), columns.begin + c, dgamma[c], accumulate);
    put(scalars<T>(args.dbeta), columns.begin + c, dbeta[c], accumulate);
  }
}

}  // namespace

template <typename T>
void normed_linear_gradients(Context& context, const NormedLinearGradients& args) {
  for (int i = 0; i < args.count; ++i) {
    const NormedLinear& linear = args.linears[i];
    if constexpr (std::is_same_v<T, float>) {
      context.products.restore({linear.weight, sizeof(T) * linear.n * linear.k});
    }
    context.for_columns(linear.k, [&](int thread, Range columns) {
      make_columns<T>(linear, columns, args.accumulate, context.scratch<T>(thread, size_t{3} * columns.size()));
    });
  }
}

template void normed_linear_gradients<float>(Context&, const NormedLinearGradients&);
template void normed_linear_gradients<double>(Context&, const NormedLinearGradients&);

}  // namespace bertune
