// An element of an array that is part of a kernel's arguments.
#pragma once

#include "cuda/simt.h"

namespace bertune::cuda {

// values[index], selected: indexing would have the compiler copy the array to local memory.
template <typename Value, int kCount>
__device__ __forceinline__ Value pick(const Value (&values)[kCount], int index) {
  Value value = values[0];
#pragma unroll
  for (int i = 1; i < kCount; ++i) {
    if (index == i) value = values[i];
  }
  return value;
}

}  // namespace bertune::cuda
