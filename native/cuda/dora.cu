// DoRA (Liu et al., 2024), what it adds to a low-rank update:
//
//   scale           norm (n) = ‖W + scaling · B · A‖ by rows, scale (n) = m / norm, scaled_b (n,r) = scale ∘ B
//   scale_backward  dm (n) = (dscale + Σ_r B ∘ dscaled_b) / norm, db (n,r) = scale ∘ dscaled_b
//   forward         out (rows,n) += (scale − 1) ∘ base
//   backward        dbase (rows,n) = (scale − 1) ∘ dout, dscale (n) = Σ dout ∘ base, as column_sums.cuh sums
//
// A row of W + scaling · B · A is made in registers and nowhere else.
#include <type_traits>

#include "cuda/column_sums.cuh"
#include "cuda/columns.cuh"
#include "cuda/master.cuh"
#include "cuda/operations.h"
#include "cuda/reduce.cuh"

namespace bertune::cuda {
namespace {

constexpr int kDoraThreads = 256;
constexpr int kNorms = 8;     // rows of W that a block takes, so that it reads A once for all of them
constexpr int kDoraRows = 8;  // of a block, forward and backward

template <typename T>
struct Scale {
  int n, k, r;
  float scaling;
  const T* weight;                // (n,k)
  const T* a;                     // (r,k)
  const T* b;                     // (n,r)
  const T* magnitude;             // (n)
  const uint16_t* magnitude_low;  // (n) its master's bits; null in float
  float* norm;                    // (n)
  float* scale;                   // (n)
  T* scaled_b;                    // (n,r)

  __device__ __forceinline__ float magnitude_of(int i) const {
    if constexpr (std::is_same_v<T, float>) {
      return magnitude[i];
    } else {
      return __uint_as_float(join_weight(reinterpret_cast<const uint16_t*>(magnitude)[i], magnitude_low[i]));
    }
  }
};

// Grid: ceil(n / kNorms); block: kDoraThreads, each a column at a time of all the rows.
template <typename T>
__global__ void __launch_bounds__(kDoraThreads) scale_kernel(Scale<T> args) {
  simt::wait_for_previous();
  SHARED(shared, float[33]);
  const int row0 = static_cast<int>(blockIdx.x) * kNorms, rows = min(kNorms, args.n - row0);
  const T* b = args.b + static_cast<int64_t>(row0) * args.r;
  float sums[kNorms] = {};
  for (int j = static_cast<int>(threadIdx.x); j < args.k; j += kDoraThreads) {
    float update[kNorms] = {};
    for (int rank = 0; rank < args.r; ++rank) {
      const float a = to_float(args.a[static_cast<int64_t>(rank) * args.k + j]);
#pragma unroll
      for (int i = 0; i < kNorms; ++i) {
        if (i < rows) update[i] += to_float(b[i * args.r + rank]) * a;
      }
    }
#pragma unroll
    for (int i = 0; i < kNorms; ++i) {
      if (i >= rows) continue;
      const float w = to_float(args.weight[static_cast<int64_t>(row0 + i) * args.k + j]);
      const float value = w + args.scaling * update[i];
      sums[i] += value * value;
    }
  }
#pragma unroll
  for (int i = 0; i < kNorms; ++i) {
    const float norm = sqrtf(block_sum(sums[i], shared));
    if (i >= rows) continue;
    const int row = row0 + i;
    const float scale = norm > 0.f ? args.magnitude_of(row) / norm : 0.f;
    for (int rank = static_cast<int>(threadIdx.x); rank < args.r; rank += kDoraThreads) {
      args.scaled_b[static_cast<int64_t>(row) * args.r + rank] = from_float<T>(scale * to_float(b[i * args.r + rank]));
    }
    if (threadIdx.x != 0) continue;
    args.norm[row] = norm;
    args.scale[row] = scale;
  }
}

// Grid: ceil(n / warps); block: kDoraThreads, a warp a row of B.
template <typename T>
__global__ void __launch_bounds__(kDoraThreads)
    scale_backward_kernel(int n, int r, const T* b /* (n,r) */, const float* norm /* (n) */,
                          const float* scale /* (n) */, float* dmagnitude /* (n) */, float* db /* (n,r) */) {
  simt::wait_for_previous();
  const int row = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) >> 5, lane = threadIdx.x & 31;
  if (row >= n) return;
  float sum = 0.f;
  for (int rank = lane; rank < r; rank += 32) {
    const int64_t at = static_cast<int64_t>(row) * r + rank;
    sum += to_float(b[at]) * db[at];
    db[at] *= scale[row];
  }
  sum = warp_sum(sum);
  if (lane == 0) dmagnitude[row] = norm[row] > 0.f ? (dmagnitude[row] + sum) / norm[row] : 0.f;
}

// Grid: (ceil(rows.padded / kDoraRows), ceil(n / (32 · N))); block: (32, kDoraRows), a warp 32 · N columns of a row.
template <typename T, bool kVector>
__global__ void forward_kernel(RowCount rows, int n, int out_stride, const float* scale /* (n) */,
                               const T* bias /* (n) or null */, T* base /* (rows,n) or null */, T* out /* (rows,n) */) {
  simt::wait_for_previous();
  constexpr int N = kVectorColumns<T>;
  const int row = static_cast<int>(blockIdx.x) * kDoraRows + threadIdx.y;
  const int column = static_cast<int>(blockIdx.y * 32 + threadIdx.x) * N;
  if (row >= rows.padded || column >= n) return;
  T* base_row = base + static_cast<size_t>(row) * n;
  T* out_row = out + static_cast<size_t>(row) * out_stride;
  float values[N], bases[N], scales[N];
  load_columns<kVector>(values, out_row, column, n);
  load_columns<false>(scales, scale, column, n);
  load_columns<kVector>(bases, bias ? bias : base_row, column, n);
  if (bias) {
#pragma unroll
    for (int i = 0; i < N; ++i) bases[i] = values[i] - bases[i];
    clear_unless(row < rows.count(), bases);
    if (base) store_columns<kVector>(base_row, column, n, bases);
  }
  if (row >= rows.count()) return;
#pragma unroll
  for (int i = 0; i < N; ++i) values[i] += (scales[i] - 1.f) * bases[i];
  store_columns<kVector>(out_row, column, n, values);
}

// Grid and block as forward's.
template <typename T, bool kVector>
__global__ void backward_kernel(RowCount rows, int n, int dout_stride, const float* scale /* (n) */,
                                const T* dout /* (rows,n) */, T* dbase /* (rows,n) */) {
  simt::wait_for_previous();
  constexpr int N = kVectorColumns<T>;
  const int row = static_cast<int>(blockIdx.x) * kDoraRows + threadIdx.y;
  const int column = static_cast<int>(blockIdx.y * 32 + threadIdx.x) * N;
  if (row >= rows.padded || column >= n) return;
  float values[N], scales[N];
  load_columns<kVector>(values, dout + static_cast<size_t>(row) * dout_stride, column, n);
  load_columns<false>(scales, scale, column, n);
#pragma unroll
  for (int i = 0; i < N; ++i) values[i] *= scales[i] - 1.f;
  clear_unless(row < rows.count(), values);
  store_columns<kVector>(dbase + static_cast<size_t>(row) * n, column, n, values);
}

// dscale: Σ dout ∘ base.
template <typename T, int N>
struct ScaleSource {
  static constexpr int kSums = 1;
  const T* dout;  // (rows,n)
  int stride;
  const T* base;  // (rows,n)

  struct Raw {
    float dout[N], base[N];
  };

  __device__ __forceinline__ void load(Raw& raw, int row, int column, int n) const {
    load_floats<N>(raw.dout, dout + static_cast<size_t>(row) * stride + column);
    load_floats<N>(raw.base, base + static_cast<size_t>(row) * n + column);
  }
  __device__ __forceinline__ void add(float (&sums)[kSums][N], const Raw& raw, int, int) const {
#pragma unroll
    for (int i = 0; i < N; ++i) sums[0][i] += raw.dout[i] * raw.base[i];
  }
};

template <typename T>
dim3 dora_grid(const Rows& rows, int n) {
  return dim3(ceil_div(rows.count, kDoraRows), ceil_div(n, 32 * kVectorColumns<T>));
}

}  // namespace

template <typename T>
void dora_scale(Context& context, const DoraScale& args) {
  constexpr bool kHasLow = std::is_same_v<T, bf16>;
  const Scale<T> scale{args.n,
                       args.k,
                       args.r,
                       static_cast<float>(args.scaling),
                       scalars<T>(args.weight),
                       scalars<T>(args.a),
                       scalars<T>(args.b),
                       scalars<T>(args.magnitude),
                       kHasLow ? reinterpret_cast<const uint16_t*>(args.magnitude_master) : nullptr,
                       floats(args.norm),
                       floats(args.scale),
                       scalars<T>(args.scaled_b)};
  context.launch(scale_kernel<T>, dim3(ceil_div(args.n, kNorms)), dim3(kDoraThreads), 0, scale);
}

template <typename T>
void dora_scale_backward(Context& context, const DoraScaleBackward& args) {
  context.launch(scale_backward_kernel<T>, dim3(ceil_div(args.n, kDoraThreads / 32)), dim3(kDoraThreads), 0, args.n,
                 args.r, scalars<T>(args.b), floats(args.norm), floats(args.scale), floats(args.dmagnitude),
                 floats(args.db));
}

template <typename T>
void dora_forward(Context& context, const DoraForward& args) {
  if (args.rows.count == 0) return;
  constexpr int N = kVectorColumns<T>;
  const int n = args.n;
  const T* bias = scalars<T>(args.bias);
  T* base = scalars<T>(args.base);
  T* out = scalars<T>(args.out);
  const bool vectors =
      is_vectorizable<N>(out, n, args.out_stride) && is_vectorizable<N>(base, n, n) && is_vectorizable<N>(bias, n, n);
  context.launch(vectors ? forward_kernel<T, true> : forward_kernel<T, false>, dora_grid<T>(args.rows, n),
                 dim3(32, kDoraRows), 0, context.rows(args.rows), n, args.out_stride, floats(args.scale), bias, base,
                 out);
}

template <typename T>
void dora_backward(Context& context, const DoraBackward& args) {
  if (args.rows.count == 0) return;
  constexpr int N = kVectorColumns<T>;
  const int n = args.n;
  const RowCount rows = context.rows(args.rows);
  const T* dout = scalars<T>(args.dout);
  const T* base = scalars<T>(args.base);
  T* dbase = scalars<T>(args.dbase);
  const bool vectors = is_vectorizable<N>(dout, n, args.dout_stride) && is_vectorizable<N>(base, n, n) &&
                       is_vectorizable<N>(dbase, n, n);
  if (dbase) {
    context.launch(vectors ? backward_kernel<T, true> : backward_kernel<T, false>, dora_grid<T>(args.rows, n),
                   dim3(32, kDoraRows), 0, rows, n, args.dout_stride, floats(args.scale), dout, dbase);
  }
  const auto sum = [&](auto columns) {
    constexpr int kColumns = decltype(columns)::value;
    launch_column_sums<kColumns>(context, rows, n, 1, ScaleSource<T, kColumns>{dout, args.dout_stride, base},
                                 {{floats(args.dscale)}, args.accumulate});
  };
  vectors ? sum(std::integral_constant<int, N>{}) : sum(std::integral_constant<int, 1>{});
}

#define BERTUNE_INSTANTIATE(T)                                              \
  template void dora_scale<T>(Context&, const DoraScale&);                  \
  template void dora_scale_backward<T>(Context&, const DoraScaleBackward&); \
  template void dora_forward<T>(Context&, const DoraForward&);              \
  template void dora_backward<T>(Context&, const DoraBackward&);
BERTUNE_INSTANTIATE(float)
BERTUNE_INSTANTIATE(bf16)
#undef BERTUNE_INSTANTIATE

}  // namespace bertune::cuda
