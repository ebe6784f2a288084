// Sums and maxima over the lanes of a warp and the threads of a block, in a fixed order.
#pragma once

#include "cuda/simt.h"

namespace bertune::cuda {

constexpr unsigned kAllLanes = 0xffffffffu;

__device__ __forceinline__ float warp_sum(float value) {
#pragma unroll
  for (int offset = 16; offset > 0; offset >>= 1) value += __shfl_xor_sync(kAllLanes, value, offset);
  return value;
}

__device__ __forceinline__ float warp_max(float value) {
#pragma unroll
  for (int offset = 16; offset > 0; offset >>= 1) value = fmaxf(value, __shfl_xor_sync(kAllLanes, value, offset));
  return value;
}

// All threads get the sum. blockDim.x is a multiple of 32; `shared` holds 33 floats.
__device__ __forceinline__ float block_sum(float value, float* shared) {
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
  value = warp_sum(value);
  __syncthreads();  // the previous call's result may still be read
  if (lane == 0) shared[warp] = value;
  __syncthreads();
  if (warp == 0) {
    const float total = warp_sum(lane < warps ? shared[lane] : 0.f);
    if (lane == 0) shared[32] = total;
  }
  __syncthreads();
  return shared[32];
}

}  // namespace bertune::cuda
