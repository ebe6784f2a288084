// Which token is the first of a sequence.
#pragma once

#include "cuda/reduce.cuh"

namespace bertune::cuda {

// The sequence that starts at token t, or −1; for all lanes of a warp, which look at 32 sequences at a time.
__device__ __forceinline__ int sequence_from(int t, int B, const int32_t* cu_seqlens) {
  const int lane = static_cast<int>(threadIdx.x & 31);
  for (int first = 0; first < B; first += 32) {
    const int b = first + lane;
    const unsigned starts = __ballot_sync(kAllLanes, b < B && cu_seqlens[b] == t);
    if (starts != 0) return first + __ffs(static_cast<int>(starts)) - 1;
  }
  return -1;
}

}  // namespace bertune::cuda
