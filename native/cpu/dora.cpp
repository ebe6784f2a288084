// DoRA (Liu et al., 2024), what it adds to a low-rank update:
//
//   scale           norm (n) = ‖W + scaling · B · A‖ by rows, scale (n) = m / norm, scaled_b (n,r) = scale ∘ B
//   scale_backward  dm (n) = (dscale + Σ_r B ∘ dscaled_b) / norm, db (n,r) = scale ∘ dscaled_b
//   forward         out (rows,n) += (scale − 1) ∘ base
//   backward        dbase (rows,n) = (scale − 1) ∘ dout, dscale (n) = Σ dout ∘ base
//
// A row of W + scaling · B · A is made, summed up and forgotten, by one thread, so its norm is the same on any number of
// threads. So is dscale: its rows are added one after another, by the thread of the column.
#include <algorithm>
#include <cmath>

#include "cpu/operations.h"
#include "cpu/scalar.h"

namespace bertune {
namespace {

// row (k) = w + scaling · b · A; returns the sum of its squares.
template <typename T>
T make_row(const DoraScale& args, const T* w, const T* b, const T* a, T* row) {
  const int k = args.k;
  std::fill_n(row, k, T(0));
  for (int64_t i = 0; i < args.r; ++i) {
    const T factor = b[i];
    const T* from = a + i * k;
#pragma omp simd
    for (int j = 0; j < k; ++j) row[j] += factor * from[j];
  }
  const T scaling = static_cast<T>(args.scaling);
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int j = 0; j < k; ++j) {
    const T value = w[j] + scaling * row[j];
    sum += value * value;
  }
  return sum;
}

}  // namespace

template <typename T>
void dora_scale(Context& context, const DoraScale& args) {
  const T* weight = scalars<T>(args.weight);
  const T* b = scalars<T>(args.b);
  const T* m = scalars<T>(args.magnitude);
  T* norm = scalars<T>(args.norm);
  T* scale = scalars<T>(args.scale);
  T* scaled_b = scalars<T>(args.scaled_b);
  context.products.read({weight, sizeof(T) * args.n * args.k});
  context.pool.run([&](int thread) {
    const Range range = even_split(args.n, context.threads(), thread);
    if (range.empty()) return;
    T* row = context.scratch<T>(thread, args.k);
    for (int64_t i = range.begin; i < range.end; ++i) {
      const T* own_b = b + i * args.r;
      norm[i] = std::sqrt(make_row(args, weight + i * args.k, own_b, scalars<T>(args.a), row));
      scale[i] = norm[i] > 0 ? m[i] / norm[i] : T(0);
      for (int64_t j = 0; j < args.r; ++j) scaled_b[i * args.r + j] = scale[i] * own_b[j];
    }
  });
}

template <typename T>
void dora_scale_backward(Context& context, const DoraScaleBackward& args) {
  const T* b = scalars<T>(args.b);
  const T* norm = scalars<T>(args.norm);
  const T* scale = scalars<T>(args.scale);
  T* dm = scalars<T>(args.dmagnitude);
  T* db = scalars<T>(args.db);
  context.for_columns(args.n, [&](int, Range range) {
    for (int64_t i = range.begin; i < range.end; ++i) {
      T sum = dm[i];
      for (int64_t at = i * args.r; at < (i + 1) * args.r; ++at) {
        sum += b[at] * db[at];
        db[at] *= scale[i];
      }
      dm[i] = norm[i] > 0 ? sum / norm[i] : T(0);
    }
  });
}

template <typename T>
void dora_forward(Context& context, const DoraForward& args) {
  const int n = args.n;
  const T* scale = scalars<T>(args.scale);
  const T* bias = scalars<T>(args.bias);
  context.for_rows(args.rows, [&](int, Range rows) {
    for (int64_t row = rows.begin; row < rows.end; ++row) {
      T* base = args.base ? scalars<T>(args.base) + row * n : nullptr;
      T* out = scalars<T>(args.out) + row * args.out_stride;
      if (bias && base) {
        for (int i = 0; i < n; ++i) base[i] = out[i] - bias[i];
      }
      if (base) {
#pragma omp simd
        for (int i = 0; i < n; ++i) out[i] += (scale[i] - 1) * base[i];
      } else {
#pragma omp simd
        for (int i = 0; i < n; ++i) out[i] += (scale[i] - 1) * (out[i] - bias[i]);
      }
    }
  });
}

template <typename T>
void dora_backward(Context& context, const DoraBackward& args) {
  const size_t n = args.n;
  const T* scale = scalars<T>(args.scale);
  T* dscale = scalars<T>(args.dscale);
  context.for_columns(args.n, [&](int, Range columns) {
    if (!args.accumulate) std::fill(dscale + columns.begin, dscale + columns.end, T(0));
    for (size_t row = 0; row < static_cast<size_t>(args.rows.count); ++row) {
      const T* dout = scalars<T>(args.dout) + row * args.dout_stride;
      const T* base = scalars<T>(args.base) + row * n;
      T* dbase = args.dbase ? scalars<T>(args.dbase) + row * n : nullptr;
#pragma omp simd
      for (int i = columns.begin; i < columns.end; ++i) dscale[i] += dout[i] * base[i];
      if (!dbase) continue;
#pragma omp simd
      for (int i = columns.begin; i < columns.end; ++i) dbase[i] = (scale[i] - 1) * dout[i];
    }
  });
}

#define BERTUNE_INSTANTIATE(T)                                              \
  template void dora_scale<T>(Context&, const DoraScale&);                  \
  template void dora_scale_backward<T>(Context&, const DoraScaleBackward&); \
  template void dora_forward<T>(Context&, const DoraForward&);              \
  template void dora_backward<T>(Context&, const DoraBackward&);
BERTUNE_INSTANTIATE(float)
BERTUNE_INSTANTIATE(double)
#undef BERTUNE_INSTANTIATE

}  // namespace bertune
