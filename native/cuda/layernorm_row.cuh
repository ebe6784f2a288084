// LayerNorm of one row, forward and backward, as the kernels of layernorm.cu, embedding.cu and normed_classifier.cu share it.
//
//   forward    mean = Σ x / C,  rstd = 1 / √(Σ (x − mean)² / C + eps),  out = (x − mean) · rstd · gamma + beta
//   backward   g = dout · gamma,  x̂ = (x − mean) · rstd,  dx = rstd · (g − Σ g / C − x̂ · Σ g x̂ / C)
//
// A row is either a warp's, K vectors of 8 columns a lane, all of it in registers (K > 0, C ≤ 256 K), or a block's,
// which reads it again for every pass (K = 0): rows that are wider, or not aligned. Backward may also be a warp's that
// reads aligned rows of any width again (kRereadingWarp), with the sums of K > 0.
//
// Rows from the live count on are computed like the others, from whatever lies there, and stored as zeros: loads need
// not wait for the count.
#pragma once

#include <type_traits>

#include "cuda/columns.cuh"
#include "cuda/context.h"
#include "cuda/reduce.cuh"

namespace bertune::cuda {

constexpr int kRowVector = 8;
constexpr int kMostRowVectors = 4;  // of a lane
constexpr int kRereadingWarp = -1;

// Both sums at once: their shuffles overlap.
__device__ __forceinline__ float2 warp_sums(float2 value) {
#pragma unroll
  for (int offset = 16; offset > 0; offset >>= 1) {
    const float x = __shfl_xor_sync(kAllLanes, value.x, offset);
    const float y = __shfl_xor_sync(kAllLanes, value.y, offset);
    value.x += x;
    value.y += y;
  }
  return value;
}

// The threads of a row.
template <int K>
struct RowTeam {
  static constexpr int kRows = 2;  // a block
  static constexpr int kThreads = 32 * kRows;
  static __device__ __forceinline__ int row() { return static_cast<int>(blockIdx.x) * kRows + (threadIdx.x >> 5); }
  static __device__ __forceinline__ int column(int k) { return (k * 32 + (threadIdx.x & 31)) * kRowVector; }
};
template <>
struct RowTeam<0> {
  static constexpr int kRows = 1;
  static constexpr int kThreads = 128;
  static constexpr int kStep = kThreads * kRowVector;  // columns between a thread's vectors
  static __device__ __forceinline__ int row() { return static_cast<int>(blockIdx.x); }
  static __device__ __forceinline__ int column() { return static_cast<int>(threadIdx.x) * kRowVector; }
  static __device__ __forceinline__ float2 sums(float2 value) {
    SHARED(shared, float[33]);
    const float total = block_sum(value.x, shared);
    return make_float2(total, block_sum(value.y, shared));
  }
};
template <>
struct RowTeam<kRereadingWarp> {
  static constexpr int kStep = 32 * kRowVector;
  static __device__ __forceinline__ int column() { return static_cast<int>(threadIdx.x & 31) * kRowVector; }
  static __device__ __forceinline__ float2 sums(float2 value) { return warp_sums(value); }
};

// Calls launch(std::integral_constant<int, K>) with the K for rows of C columns.
template <typename Launch>
void with_row_team(int C, bool vectorizable, const Launch& launch) {
  switch (vectorizable ? ceil_div(C, 32 * kRowVector) : 0) {
    case 1:
      return launch(std::integral_constant<int, 1>{});
    case 2:
      return launch(std::integral_constant<int, 2>{});
    case 3:
      return launch(std::integral_constant<int, 3>{});
    case kMostRowVectors:
      return launch(std::integral_constant<int, kMostRowVectors>{});
    default:
      return launch(std::integral_constant<int, 0>{});
  }
}

__device__ __forceinline__ float sum_of(const float (&x)[kRowVector]) {
  return ((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + (x[6] + x[7]));
}

// Where the dropout stands that goes with the LayerNorm: x = residual + dropout(inp), or out = dropout(out).
enum class DropoutAt { kInput, kOutput };

template <typename T>
struct LayernormForward {
  int C;
  float eps;
  const T* gamma;  // (C)
  const T* beta;   // (C)
  T* sum;          // (rows,C) x
  float* mean;     // (rows)
  float* rstd;     // (rows)
  T* out;          // (rows,C)
  DropoutMask mask;
};

// x = residual + dropout(inp)
template <typename T>
struct ResidualInput {
  const T* inp;       // (rows,C)
  const T* residual;  // (rows,C) or null

  struct Raw {
    float inp[kRowVector], residual[kRowVector];
  };

  template <bool kVector>
  __device__ __forceinline__ void load(Raw& raw, int row, int column, int C) const {
    const size_t at = static_cast<size_t>(row) * C;
    load_columns<kVector>(raw.inp, inp + at, column, C);
    if (residual) {
      load_columns<kVector>(raw.residual, residual + at, column, C);
    } else {
#pragma unroll
      for (int i = 0; i < kRowVector; ++i) raw.residual[i] = 0.f;
    }
  }

  __device__ __forceinline__ void combine(float (&x)[kRowVector], Raw& raw, const KeptColumns& kept) const {
    kept.apply(raw.inp);
#pragma unroll
    for (int i = 0; i < kRowVector; ++i) x[i] = raw.residual[i] + raw.inp[i];
  }
};

// Input: Raw holds what load(raw, row, column, C) reads, combine(x, raw, kept) makes x of it.
template <typename T, int K, DropoutAt kDropout, typename Input>
__device__ __forceinline__ void layernorm_forward_row(const LayernormForward<T>& args, int row, bool live,
                                                      const Input& input) {
  const int C = args.C;
  const size_t at = static_cast<size_t>(row) * C;
  T* sum = args.sum + at;
  T* out = args.out + at;
  float mean, rstd;
  if constexpr (K > 0) {
    using Team = RowTeam<K>;
    // All loads before the first store, which might be to the same memory for all that the compiler knows.
    typename Input::Raw raw[K];
    float gamma[K][kRowVector], beta[K][kRowVector], x[K][kRowVector];
#pragma unroll
    for (int k = 0; k < K; ++k) input.template load<true>(raw[k], row, Team::column(k), C);
#pragma unroll
    for (int k = 0; k < K; ++k) {
      load_columns<true>(gamma[k], args.gamma, Team::column(k), C);
      load_columns<true>(beta[k], args.beta, Team::column(k), C);
    }
    KeptColumns kept[K];
#pragma unroll
    for (int k = 0; k < K; ++k) kept[k] = kept_columns<kRowVector>(args.mask, row, Team::column(k));
    float total = 0.f;
#pragma unroll
    for (int k = 0; k < K; ++k) {
      input.combine(x[k], raw[k], kept[k]);
#pragma unroll
      for (int i = 0; i < kRowVector; ++i) x[k][i] = rounded<T>(x[k][i]);
      total += sum_of(x[k]);
    }
#pragma unroll
    for (int k = 0; k < K; ++k) {
      float saved[kRowVector];
#pragma unroll
      for (int i = 0; i < kRowVector; ++i) saved[i] = live ? x[k][i] : 0.f;
      store_columns<true>(sum, Team::column(k), C, saved);
    }
    mean = warp_sum(total) / C;
    float squares = 0.f;
#pragma unroll
    for (int k = 0; k < K; ++k) {
      float square[kRowVector];
#pragma unroll
      for (int i = 0; i < kRowVector; ++i) {
        x[k][i] = Team::column(k) < C ? x[k][i] - mean : 0.f;
        square[i] = x[k][i] * x[k][i];
      }
      squares += sum_of(square);
    }
    rstd = 1.f / sqrtf(warp_sum(squares) / C + args.eps);
#pragma unroll
    for (int k = 0; k < K; ++k) {
#pragma unroll
      for (int i = 0; i < kRowVector; ++i) x[k][i] = x[k][i] * rstd * gamma[k][i] + beta[k][i];
      if constexpr (kDropout == DropoutAt::kOutput) kept[k].apply(x[k]);
      clear_unless(live, x[k]);
      store_columns<true>(out, Team::column(k), C, x[k]);
    }
    if ((threadIdx.x & 31) != 0) return;
  } else {
    using Team = RowTeam<0>;
    SHARED(shared, float[33]);
    float x[kRowVector], total = 0.f;
    for (int column = Team::column(); column < C; column += Team::kStep) {
      typename Input::Raw raw;
      input.template load<false>(raw, row, column, C);
      input.combine(x, raw, kept_columns<kRowVector>(args.mask, row, column));
#pragma unroll
      for (int i = 0; i < kRowVector; ++i) x[i] = rounded<T>(x[i]);
      clear_unless(live, x);
      store_columns<false>(sum, column, C, x);
      total += sum_of(x);
    }
    mean = block_sum(total, shared) / C;
    float squares = 0.f;
    for (int column = Team::column(); column < C; column += Team::kStep) {
      load_columns<false>(x, sum, column, C);
#pragma unroll
      for (int i = 0; i < kRowVector; ++i) squares += column + i < C ? (x[i] - mean) * (x[i] - mean) : 0.f;
    }
    rstd = 1.f / sqrtf(block_sum(squares, shared) / C + args.eps);
    for (int column = Team::column(); column < C; column += Team::kStep) {
      float gamma[kRowVector], beta[kRowVector];
      load_columns<false>(x, sum, column, C);
      load_columns<false>(gamma, args.gamma, column, C);
      load_columns<false>(beta, args.beta, column, C);
#pragma unroll
      for (int i = 0; i < kRowVector; ++i) x[i] = (x[i] - mean) * rstd * gamma[i] + beta[i];
      if constexpr (kDropout == DropoutAt::kOutput) kept_columns<kRowVector>(args.mask, row, column).apply(x);
      clear_unless(live, x);
      store_columns<false>(out, column, C, x);
    }
    if (threadIdx.x != 0) return;
  }
  args.mean[row] = live ? mean : 0.f;
  args.rstd[row] = live ? rstd : 0.f;
}

template <typename T>
struct LayernormBackward {
  int C;
  const T* dout;      // (rows,C)
  const T* sum;       // (rows,C) x
  const float* mean;  // (rows)
  const float* rstd;  // (rows)
  const T* gamma;     // (C)
  T* dsum;            // (rows,C) dx; may be dout
  T* dinp;            // (rows,C) dropout of dx, or null; used where the dropout is at the input
  DropoutMask mask;
};

template <typename T>
LayernormBackward<T> layernorm_backward_of(const Context& context, const DropoutResidualLayernormBackward& args) {
  return {args.C, scalars<T>(args.dout), scalars<T>(args.sum), floats(args.mean), floats(args.rstd),
          scalars<T>(args.gamma), scalars<T>(args.dresidual),
          // The same buffer is right already: nothing is dropped then.
          args.dinp == args.dresidual ? nullptr : scalars<T>(args.dinp), context.dropout(args.dropout, args.rows.kind)};
}

template <typename T>
bool backward_is_vectorizable(const LayernormBackward<T>& args) {
  const int C = args.C;
  return is_vectorizable<kRowVector>(args.dout, C, C) && is_vectorizable<kRowVector>(args.sum, C, C) &&
         is_vectorizable<kRowVector>(args.gamma, C, C) && is_vectorizable<kRowVector>(args.dsum, C, C) &&
         is_vectorizable<kRowVector>(args.dinp, C, C);
}

template <typename T, int K, DropoutAt kDropout>
__device__ __forceinline__ void layernorm_backward_row(const LayernormBackward<T>& args, int row, bool live) {
  constexpr bool kVector = K != 0;
  const int C = args.C;
  const size_t at = static_cast<size_t>(row) * C;
  const T* dout = args.dout + at;
  const T* sum = args.sum + at;
  const float mean = args.mean[row], rstd = args.rstd[row];
  // g in place of dout, x̂ in place of x; adds Σ g and Σ g x̂ to `sums`.
  const auto normalize = [&](float (&g)[kRowVector], float (&x)[kRowVector], const float (&gamma)[kRowVector],
                             const KeptColumns& kept, float2& sums) {
    if constexpr (kDropout == DropoutAt::kOutput) kept.apply(g);
    float projection[kRowVector];
#pragma unroll
    for (int i = 0; i < kRowVector; ++i) {
      g[i] *= gamma[i];
      x[i] = (x[i] - mean) * rstd;
      projection[i] = g[i] * x[i];
    }
    sums.x += sum_of(g);
    sums.y += sum_of(projection);
  };
  const auto store = [&](int column, float (&g)[kRowVector], const float (&x)[kRowVector], const KeptColumns& kept,
                         float2 means) {
    float (&dx)[kRowVector] = g;
#pragma unroll
    for (int i = 0; i < kRowVector; ++i) dx[i] = rounded<T>(rstd * (g[i] - means.x - x[i] * means.y));
    clear_unless(live, dx);
    store_columns<kVector>(args.dsum + at, column, C, dx);
    if (kDropout == DropoutAt::kInput && args.dinp) {
      kept.apply(dx);
      store_columns<kVector>(args.dinp + at, column, C, dx);
    }
  };
  float2 sums = make_float2(0.f, 0.f);
  if constexpr (K > 0) {
    using Team = RowTeam<K>;
    float g[K][kRowVector], x[K][kRowVector], gamma[K][kRowVector];
#pragma unroll
    for (int k = 0; k < K; ++k) {
      load_columns<true>(g[k], dout, Team::column(k), C);
      load_columns<true>(x[k], sum, Team::column(k), C);
      load_columns<true>(gamma[k], args.gamma, Team::column(k), C);
    }
    KeptColumns kept[K];
#pragma unroll
    for (int k = 0; k < K; ++k) kept[k] = kept_columns<kRowVector>(args.mask, row, Team::column(k));
#pragma unroll
    for (int k = 0; k < K; ++k) normalize(g[k], x[k], gamma[k], kept[k], sums);
    sums = warp_sums(sums);
    const float2 means = make_float2(sums.x / C, sums.y / C);
#pragma unroll
    for (int k = 0; k < K; ++k) store(Team::column(k), g[k], x[k], kept[k], means);
  } else {
    using Team = RowTeam<K>;
    float g[kRowVector], x[kRowVector], gamma[kRowVector];
    KeptColumns kept;
    const auto load = [&](int column, float2& sums) {
      load_columns<kVector>(g, dout, column, C);
      load_columns<kVector>(x, sum, column, C);
      load_columns<kVector>(gamma, args.gamma, column, C);
      kept = kept_columns<kRowVector>(args.mask, row, column);
      normalize(g, x, gamma, kept, sums);
    };
    for (int column = Team::column(); column < C; column += Team::kStep) load(column, sums);
    sums = Team::sums(sums);
    const float2 means = make_float2(sums.x / C, sums.y / C);
    for (int column = Team::column(); column < C; column += Team::kStep) {
      float2 unused = sums;
      load(column, unused);
      store(column, g, x, kept, means);
    }
  }
}

}  // namespace bertune::cuda
