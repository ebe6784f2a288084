// The compute scalars of kernels, float and bf16, and their conversions, one by one and as vectors of one access.
#pragma once

#include "core/backend.h"
#include "cuda/simt.h"

namespace bertune::cuda {

using bf16 = __nv_bfloat16;

// Opaque pointers of core/backend.h as what they are.
template <typename T>
T* scalars(Real* pointer) {
  return reinterpret_cast<T*>(pointer);
}
template <typename T>
const T* scalars(const Real* pointer) {
  return reinterpret_cast<const T*>(pointer);
}
__host__ __device__ inline float* floats(Acc* pointer) { return reinterpret_cast<float*>(pointer); }
__host__ __device__ inline const float* floats(const Acc* pointer) { return reinterpret_cast<const float*>(pointer); }

__device__ __forceinline__ float to_float(float value) { return value; }
__device__ __forceinline__ float to_float(bf16 value) { return __bfloat162float(value); }

template <typename T>
__device__ __forceinline__ T from_float(float value);
template <>
__device__ __forceinline__ float from_float<float>(float value) {
  return value;
}
template <>
__device__ __forceinline__ bf16 from_float<bf16>(float value) {
  return __float2bfloat16_rn(value);
}

// What a value becomes when it is stored as T.
template <typename T>
__device__ __forceinline__ float rounded(float value) {
  return to_float(from_float<T>(value));
}

// N neighbours in one access of N · sizeof(T) bytes, at most 16; the address is a multiple of that.
template <typename T, int N>
struct alignas(sizeof(T) * N) Pack {
  T value[N];
};

template <int N, typename T>
__device__ __forceinline__ void load_floats(float (&out)[N], const T* inp) {
  if constexpr (sizeof(T) * N <= 16) {
    const Pack<T, N> pack = *reinterpret_cast<const Pack<T, N>*>(inp);
#pragma unroll
    for (int i = 0; i < N; ++i) out[i] = to_float(pack.value[i]);
  } else {
    constexpr int kHalf = N / 2;
    float low[kHalf], high[kHalf];
    load_floats<kHalf>(low, inp);
    load_floats<kHalf>(high, inp + kHalf);
#pragma unroll
    for (int i = 0; i < kHalf; ++i) {
      out[i] = low[i];
      out[i + kHalf] = high[i];
    }
  }
}

template <int N, typename T>
__device__ __forceinline__ void store_floats(T* out, const float (&inp)[N]) {
  if constexpr (sizeof(T) * N <= 16) {
    Pack<T, N> pack;
#pragma unroll
    for (int i = 0; i < N; ++i) pack.value[i] = from_float<T>(inp[i]);
    *reinterpret_cast<Pack<T, N>*>(out) = pack;
  } else {
    constexpr int kHalf = N / 2;
    float low[kHalf], high[kHalf];
#pragma unroll
    for (int i = 0; i < kHalf; ++i) {
      low[i] = inp[i];
      high[i] = inp[i + kHalf];
    }
    store_floats<kHalf>(out, low);
    store_floats<kHalf>(out + kHalf, high);
  }
}

// True where rows of `columns` elements, `stride` apart from `pointer` on, can be accessed N elements at a time.
template <int N, typename T>
bool is_vectorizable(const T* pointer, int64_t columns, int64_t stride) {
  const size_t bytes = sizeof(T) * N < 16 ? sizeof(T) * N : 16;
  return columns % N == 0 && stride % N == 0 && reinterpret_cast<uintptr_t>(pointer) % bytes == 0;
}

}  // namespace bertune::cuda
