// A warp's tile product, from shared memory into registers: by tensor cores in bf16, by plain multiply-adds in float.
//
// Tiles start at a multiple of 16 bytes, and so does each of their rows.
//
// The accumulators have the layout of mma.m16n8k16 in both: of a tile of 16 rows and 8·N columns, lane `l` holds
//   acc[j][0], acc[j][1]   row l/4,     columns 8j + 2·(l%4), + 1
//   acc[j][2], acc[j][3]   row l/4 + 8, the same columns
#pragma once

#include <cstring>

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

// acc (16,8N) += A (16,16), in registers, · B (16,8N).
template <Factor kB, int N>
__device__ __forceinline__ void fragment_mma(float (&acc)[N][4], const uint32_t (&fragment_a)[4], const bf16* b,
                                             int b_pitch) {
  static_assert(N % 2 == 0, "B is read two tiles of 8 columns at a time");
  const int lane = threadIdx.x & 31;
#pragma unroll
  for (int j = 0; j < N; j += 2) {
    uint32_t fragment_b[4];
    if constexpr (kB == Factor::kAlongK) {
      simt::ldmatrix_x4(fragment_b, b + (j * 8 + (lane & 7) + (lane >> 4) * 8) * b_pitch + ((lane >> 3) & 1) * 8);
    } else {
      simt::ldmatrix_x4_trans(fragment_b, b + (lane & 15) * b_pitch + j * 8 + (lane >> 4) * 8);
    }
    const uint32_t left[2] = {fragment_b[0], fragment_b[1]}, right[2] = {fragment_b[2], fragment_b[3]};
    simt::mma_m16n8k16_bf16(acc[j], fragment_a, left);
    simt::mma_m16n8k16_bf16(acc[j + 1], fragment_a, right);
  }
}

// Where the next 16 rows of k begin.
template <Factor kB>
__device__ __forceinline__ const bf16* along_k(const bf16* b, int b_pitch, int k0) {
  return kB == Factor::kAlongK ? b + k0 : b + k0 * b_pitch;
}

template <Factor kA, Factor kB, int N>
__device__ __forceinline__ void tile_mma(float (&acc)[N][4], const bf16* a, int a_pitch, const bf16* b, int b_pitch,
                                         int k /* multiple of 16 */) {
  const int lane = threadIdx.x & 31;
#pragma unroll
  for (int k0 = 0; k0 < k; k0 += 16) {
    uint32_t fragment_a[4];
    if constexpr (kA == Factor::kAlongK) {
      simt::ldmatrix_x4(fragment_a, a + (lane & 15) * a_pitch + k0 + (lane >> 4) * 8);
    } else {
      simt::ldmatrix_x4_trans(fragment_a, a + (k0 + (lane & 7) + (lane >> 4) * 8) * a_pitch + ((lane >> 3) & 1) * 8);
    }
    fragment_mma<kB>(acc, fragment_a, along_k<kB>(b, b_pitch, k0), b_pitch);
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

// A factor A (16,k) that lies in shared memory.
template <typename T, int k>
struct SharedFactor {
  const T* rows;
  int pitch;

  __device__ __forceinline__ void load(const T* from, int from_pitch) {
    rows = from;
    pitch = from_pitch;
  }
};

// A factor A (16,k) that a warp multiplies by several B, or that it has just made: bf16 in registers, float in shared
// memory.
template <typename T, int k>
struct WarpFactor;

template <int k>
struct WarpFactor<bf16, k> {
  static constexpr int kScratch = 0;  // elements of shared memory that set() needs
  uint32_t fragments[k / 16][4];

  // From rows (16,k) in shared memory.
  __device__ __forceinline__ void load(const bf16* rows, int pitch) {
    const int lane = threadIdx.x & 31;
#pragma unroll
    for (int i = 0; i < k / 16; ++i) {
      simt::ldmatrix_x4(fragments[i], rows + (lane & 15) * pitch + 16 * i + (lane >> 4) * 8);
    }
  }

  // From accumulators, which have the layout that A is read in.
  __device__ __forceinline__ void set(const float (&acc)[k / 8][4], bf16* /* scratch */) {
#pragma unroll
    for (int i = 0; i < k / 16; ++i) {
      fragments[i][0] = packed(acc[2 * i][0], acc[2 * i][1]);
      fragments[i][1] = packed(acc[2 * i][2], acc[2 * i][3]);
      fragments[i][2] = packed(acc[2 * i + 1][0], acc[2 * i + 1][1]);
      fragments[i][3] = packed(acc[2 * i + 1][2], acc[2 * i + 1][3]);
    }
  }

 private:
  static __device__ __forceinline__ uint32_t packed(float low, float high) {
    const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    uint32_t bits;
    memcpy(&bits, &pair, sizeof bits);
    return bits;
  }
};

template <int k>
struct WarpFactor<float, k> : SharedFactor<float, k> {
  static constexpr int kPitch = shared_pitch<float>(k), kScratch = 16 * kPitch;

  __device__ __forceinline__ void set(const float (&acc)[k / 8][4], float* scratch /* (16, kPitch) of the warp */) {
    const int lane = threadIdx.x & 31;
    float* to = scratch + lane / 4 * kPitch + 2 * (lane & 3);
    __syncwarp();  // what was there before may still be read
#pragma unroll
    for (int j = 0; j < k / 8; ++j) {
#pragma unroll
      for (int i = 0; i < 4; ++i) to[i / 2 * 8 * kPitch + 8 * j + i % 2] = acc[j][i];
    }
    __syncwarp();
    this->load(scratch, kPitch);
  }
};

template <Factor kB, int N, int k>
__device__ __forceinline__ void tile_mma(float (&acc)[N][4], const WarpFactor<bf16, k>& a, const bf16* b, int b_pitch) {
#pragma unroll
  for (int i = 0; i < k / 16; ++i) fragment_mma<kB>(acc, a.fragments[i], along_k<kB>(b, b_pitch, 16 * i), b_pitch);
}

template <Factor kB, typename T, int N, int k>
__device__ __forceinline__ void tile_mma(float (&acc)[N][4], const SharedFactor<T, k>& a, const T* b, int b_pitch) {
  tile_mma<Factor::kAlongK, kB>(acc, a.rows, a.pitch, b, b_pitch, k);
}

}  // namespace bertune::cuda
