// A warp's tile product, from shared memory into registers: by tensor cores in bf16, by plain multiply-adds in float.
//
// Tiles start at a multiple of 16 bytes, and so does each of their rows.
//
// The accumulators have the layout of mma.m16n8k16 in both: of a tile of 16 rows and 8·N columns, lane `l` holds
//   acc[j][0], acc[j][1]   row l/4,     columns 8j + 2·(l%4), + 1
//   acc[j][2], acc[j][3]   row l/4 + 8, the same columns
#pragma once

#include "cuda/scalar.cuh"

namespace bertune::cuda {

// How a factor of out (16, 8N) += A (16,k) · B (k,8N) lies in shared memory.
enum class Factor {
  kAlongK,   // its k is contiguous: A as (16,k), B as (8N,k)
  kAcrossK,  // its k is the row: A as (k,16), B as (k,8N)
};

// Elements of a row of `columns` (a multiple of 8) in shared memory, so that eight rows lie in different banks.
template <typename T>
constexpr __host__ __device__ int shared_pitch(int columns) {
  return sizeof(T) == 2 ? (columns % 16 == 0 ? columns + 8 : columns) : columns + 4;
}

template <Factor kA, Factor kB, int N>
__device__ __forceinline__ void tile_mma(float (&acc)[N][4], const bf16* a, int a_pitch, const bf16* b, int b_pitch,
                                         int k /* multiple of 16 */) {
  static_assert(N % 2 == 0, "B is read two tiles of 8 columns at a time");
  const int lane = threadIdx.x & 31;
#pragma unroll
  for (int k0 = 0; k0 < k; k0 += 16) {
    uint32_t fragment_a[4];
    if constexpr (kA == Factor::kAlongK) {
      simt::ldmatrix_x4(fragment_a, a + (lane & 15) * a_pitch + k0 + (lane >> 4) * 8);
    } else {
      simt::ldmatrix_x4_trans(fragment_a, a + (k0 + (lane & 7) + (lane >> 4) * 8) * a_pitch + ((lane >> 3) & 1) * 8);
    }
#pragma unroll
    for (int j = 0; j < N; j += 2) {
      uint32_t fragment_b[4];
      if constexpr (kB == Factor::kAlongK) {
        simt::ldmatrix_x4(fragment_b,
                          b + (j * 8 + (lane & 7) + (lane >> 4) * 8) * b_pitch + k0 + ((lane >> 3) & 1) * 8);
      } else {
        simt::ldmatrix_x4_trans(fragment_b, b + (k0 + (lane & 15)) * b_pitch + j * 8 + (lane >> 4) * 8);
      }
      const uint32_t left[2] = {fragment_b[0], fragment_b[1]}, right[2] = {fragment_b[2], fragment_b[3]};
      simt::mma_m16n8k16_bf16(acc[j], fragment_a, left);
      simt::mma_m16n8k16_bf16(acc[j + 1], fragment_a, right);
    }
  }
}

template <Factor kA, Factor kB, int N>
__device__ __forceinline__ void tile_mma(float (&acc)[N][4], const float* a, int a_pitch, const float* b, int b_pitch,
                                         int k) {
  const int lane = threadIdx.x & 31, row = lane >> 2, column = 2 * (lane & 3);
  for (int k0 = 0; k0 < k; k0 += 4) {
    float upper[4], lower[4];
    if constexpr (kA == Factor::kAlongK) {
      load_floats(upper, a + row * a_pitch + k0);
      load_floats(lower, a + (row + 8) * a_pitch + k0);
    } else {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        upper[i] = a[(k0 + i) * a_pitch + row];
        lower[i] = a[(k0 + i) * a_pitch + row + 8];
      }
    }
#pragma unroll
    for (int j = 0; j < N; ++j) {
      const int c = 8 * j + column;
      float left[4], right[4];
      if constexpr (kB == Factor::kAlongK) {
        load_floats(left, b + c * b_pitch + k0);
        load_floats(right, b + (c + 1) * b_pitch + k0);
      } else {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const Pack<float, 2> pair = *reinterpret_cast<const Pack<float, 2>*>(b + (k0 + i) * b_pitch + c);
          left[i] = pair.value[0];
          right[i] = pair.value[1];
        }
      }
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        acc[j][0] += upper[i] * left[i];
        acc[j][1] += upper[i] * right[i];
        acc[j][2] += lower[i] * left[i];
        acc[j][3] += lower[i] * right[i];
      }
    }
  }
}

template <int N>
__device__ __forceinline__ void clear(float (&acc)[N][4]) {
#pragma unroll
  for (int j = 0; j < N; ++j) acc[j][0] = acc[j][1] = acc[j][2] = acc[j][3] = 0.f;
}

}  // namespace bertune::cuda
