// out = activation(inp · weightᵀ + bias)
//
//   forward           inp (rows,k), weight (n,k), bias (n) → out (rows,n); the preactivation is saved where asked for
//   backward_input    dinp = dout · weight      (rows,n) (n,k) → (rows,k)
//   backward_weight   dweight = doutᵀ · inp     (rows,n) (rows,k) → (n,k);   dbias = Σ rows of dout (n)
//
// The backward of the activation is activation.h's.
//
// Threads take rows of the result where there are many and columns where there are few, and all rows of a column block
// for the weight gradient, so every sum over k, n or rows is made by one thread.
#include <algorithm>

#include "cpu/activation.h"
#include "cpu/gemm.h"
#include "cpu/operations.h"
#include "cpu/scalar.h"

namespace bertune {
namespace {

// Rows a thread below which a result is split by columns: the BLAS packs the whole weight for each thread otherwise.
constexpr int kFewRows = 32;

// Calls work(rows, columns) on each thread: its part of a (rows,n) result.
template <typename Work>
void for_tiles(Context& context, Rows rows, int n, Work&& work) {
  if (rows.count >= kFewRows * context.threads()) {
    context.for_rows(rows, [&](int, Range range) { work(range, Range{0, n}); });
  } else {
    context.for_columns(n, [&](int, Range range) { work(Range{0, rows.count}, range); });
  }
}

}  // namespace

template <typename T>
void linear_forward(Context& context, const LinearForward& args) {
  const T* inp = scalars<T>(args.inp);
  const T* weight = scalars<T>(args.weight);
  const T* bias = scalars<T>(args.bias);
  T* out = scalars<T>(args.out);
  // The product goes where the preactivation is wanted, and otherwise straight to the output.
  T* product = args.preactivation ? scalars<T>(args.preactivation) : out;
  const size_t product_stride = args.preactivation ? args.n : args.out_stride;
  const size_t inp_stride = args.inp_stride, out_stride = args.out_stride, k = args.k;
  for_tiles(context, args.rows, args.n, [&](Range rows, Range columns) {
    const int n = columns.size();
    gemm<T>(false, true, rows.size(), n, args.k, 1, inp + rows.begin * inp_stride, args.inp_stride,
            weight + columns.begin * k, args.k, 0, product + rows.begin * product_stride + columns.begin,
            static_cast<int>(product_stride));
    for (size_t row = rows.begin; row < static_cast<size_t>(rows.end); ++row) {
      T* x = product + row * product_stride + columns.begin;
      if (bias != nullptr) {
        const T* b = bias + columns.begin;
#pragma omp simd
        for (int i = 0; i < n; ++i) x[i] += b[i];
      }
      activation_row(args.activation, n, x, out + row * out_stride + columns.begin);
    }
  });
}

template <typename T>
void linear_backward_input(Context& context, const LinearBackwardInput& args) {
  const T* dout = scalars<T>(args.dout);
  const T* weight = scalars<T>(args.weight);
  T* dinp = scalars<T>(args.dinp);
  const size_t dout_stride = args.dout_stride, dinp_stride = args.dinp_stride;
  for_tiles(context, args.rows, args.k, [&](Range rows, Range columns) {
    gemm<T>(false, false, rows.size(), columns.size(), args.n, 1, dout + rows.begin * dout_stride, args.dout_stride,
            weight + columns.begin, args.k, args.add_to_dinp ? 1 : 0, dinp + rows.begin * dinp_stride + columns.begin,
            args.dinp_stride);
  });
}

template <typename T>
void linear_backward_weight(Context& context, const LinearBackwardWeight& args) {
  const T* dout = scalars<T>(args.dout);
  const T* inp = scalars<T>(args.inp);
  T* dweight = scalars<T>(args.dweight);
  T* dbias = scalars<T>(args.dbias);
  const size_t dout_stride = args.dout_stride, k = args.k;
  context.for_columns(args.n, [&](int, Range columns) {
    if (dweight != nullptr) {
      gemm<T>(true, false, columns.size(), args.k, args.rows.count, 1, dout + columns.begin, args.dout_stride, inp,
              args.inp_stride, args.accumulate ? 1 : 0, dweight + columns.begin * k, args.k);
    }
    if (dbias == nullptr) return;
    if (!args.accumulate) std::fill(dbias + columns.begin, dbias + columns.end, T(0));
    for (int row = 0; row < args.rows.count; ++row) {
      const T* d = dout + row * dout_stride;
#pragma omp simd
      for (int i = columns.begin; i < columns.end; ++i) dbias[i] += d[i];
    }
  });
}

template void linear_forward<float>(Context&, const LinearForward&);
template void linear_forward<double>(Context&, const LinearForward&);
template void linear_backward_input<float>(Context&, const LinearBackwardInput&);
template void linear_backward_input<double>(Context&, const LinearBackwardInput&);
template void linear_backward_weight<float>(Context&, const LinearBackwardWeight&);
template void linear_backward_weight<double>(Context&, const LinearBackwardWeight&);

}  // namespace bertune
