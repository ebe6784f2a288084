// A few neighbouring columns of a row in registers: loaded, stored and dropped together.
#pragma once

#include "cuda/device_state.h"
#include "cuda/scalar.cuh"

namespace bertune::cuda {

// Columns of one 16-byte access.
template <typename T>
constexpr int kVectorColumns = 16 / static_cast<int>(sizeof(T));

// Columns column .. column + N − 1 of a row of `columns`; those that do not exist are 0. kVector: columns is a multiple
// of N and the row is aligned, as is_vectorizable<N> says.
template <bool kVector, int N, typename T>
__device__ __forceinline__ void load_columns(float (&out)[N], const T* row, int column, int columns) {
  if constexpr (kVector) {
#pragma unroll
    for (int i = 0; i < N; ++i) out[i] = 0.f;
    if (column < columns) load_floats<N>(out, row + column);
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i) out[i] = column + i < columns ? to_float(row[column + i]) : 0.f;
  }
}

template <bool kVector, int N, typename T>
__device__ __forceinline__ void store_columns(T* row, int column, int columns, const float (&inp)[N]) {
  if constexpr (kVector) {
    if (column < columns) store_floats<N>(row + column, inp);
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i) {
      if (column + i < columns) row[column + i] = from_float<T>(inp[i]);
    }
  }
}

// Which of a few neighbouring columns a dropout keeps. Drawn apart from the values, so that the draw need not wait for
// their loads.
struct KeptColumns {
  uint32_t bits;  // bit i: column i is kept
  float scale;

  template <int N>
  __device__ __forceinline__ void apply(float (&values)[N]) const {
#pragma unroll
    for (int i = 0; i < N; ++i) values[i] = bits & (1u << i) ? values[i] * scale : 0.f;
  }
};

// Of columns column .. column + N − 1; both are multiples of 4.
template <int N>
__device__ __forceinline__ KeptColumns kept_columns(const DropoutMask& mask, int row, int column) {
  static_assert(N % 4 == 0, "four columns share one draw");
  if (!mask.on()) return {~0u, 1.f};
  uint32_t bits = 0;
#pragma unroll
  for (int i = 0; i < N; i += 4) {
    const float4 factor = mask.factors(row, (column + i) / 4);
    bits |= (factor.x != 0.f ? 1u : 0u) << i | (factor.y != 0.f ? 2u : 0u) << i | (factor.z != 0.f ? 4u : 0u) << i |
            (factor.w != 0.f ? 8u : 0u) << i;
  }
  return {bits, mask.scale};
}

template <int N>
__device__ __forceinline__ void clear_unless(bool keep, float (&values)[N]) {
#pragma unroll
  for (int i = 0; i < N; ++i) values[i] = keep ? values[i] : 0.f;
}

}  // namespace bertune::cuda
