// A float kept as a bf16 weight and its 16 low bits, as weights.h describes it; for kernels and for the host.
#pragma once

#include <bit>
#include <cstdint>

#include "cuda/simt.h"

namespace bertune::cuda {

// The weight's bits; the low bits are those that a cast to uint16_t leaves. NaN is made quiet first: rounded upward,
// one of all ones would become −0.
__host__ __device__ __forceinline__ uint16_t split_weight(uint32_t& bits) {
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) bits = (bits & 0x80000000u) | 0x7FC00000u;
  return static_cast<uint16_t>((bits >> 16) + (bits >> 15 & 1u));
}

__host__ __device__ __forceinline__ uint32_t join_weight(uint16_t weight, uint16_t low) {
  return (static_cast<uint32_t>(weight) - (low >> 15)) << 16 | low;
}

}  // namespace bertune::cuda
