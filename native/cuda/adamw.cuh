// AdamW's arithmetic on elements, for all kernels that update them; adamw.cu has the formula.
#pragma once

#include <cfloat>

#include "cuda/adamw.h"
#include "cuda/master.cuh"
#include "cuda/scalar.cuh"
#include "cuda/segments.h"

namespace bertune::cuda {

constexpr int kVector = 4;  // elements of an access

__device__ __forceinline__ bool is_aligned(const void* pointer, unsigned bytes) {
  return reinterpret_cast<uintptr_t>(pointer) % bytes == 0;
}

// Whether this step updates nothing of the variant: its update has been made, or its norm or `loss` (1) is not finite or those of an
// earlier one were not. All threads decide the same: `halted` is written only where nobody reads it.
__device__ __forceinline__ bool updates_nothing(DeviceState* state, const float* loss, int variant) {
  if (state->is_updated) return true;
  if (isfinite(state->grad_norm[variant]) && isfinite(*loss)) return state->halted[variant] != 0;
  if (blockIdx.x == 0 && threadIdx.x == 0) state->halted[variant] = 1;
  return true;
}

__device__ __forceinline__ AdamwScalars scalars_of(const AdamwConstants& settings, const DeviceState* state,
                                                   int variant, const DeviceSegment& segment) {
  const float lr = static_cast<float>(state->step.learning_rates[variant] * segment.rate);
  const float t = static_cast<float>(state->step.step);
  // 1 − beta^t, exact where beta^t is close to 1.
  const float correction1 = -expm1f(t * settings.log_beta1), correction2 = -expm1f(t * settings.log_beta2);
  AdamwScalars scalars;
  scalars.clip =
      settings.max_grad_norm > 0.f ? fminf(1.f, settings.max_grad_norm / (state->grad_norm[variant] + 1e-6f)) : 1.f;
  scalars.decay = segment.decay != 0 ? 1.f - lr * settings.weight_decay : 1.f;
  scalars.beta2 = settings.beta2;
  scalars.one_minus_beta1 = settings.one_minus_beta1;
  scalars.one_minus_beta2 = settings.one_minus_beta2;
  scalars.root_correction2 = sqrtf(correction2);
  scalars.eps = settings.eps;
  scalars.step_size = lr / correction1;
  return scalars;
}

template <typename T>
struct Parameters {
  T* weight;      // (length)
  uint16_t* low;  // (length), unused in float
  const float* grad;
  float* m;
  float* v;

  __device__ __forceinline__ Parameters(const DeviceSegment& segment, int64_t begin)
      : weight(static_cast<T*>(segment.weight) + begin),
        low(static_cast<uint16_t*>(segment.master) + begin),
        grad(segment.grad + begin),
        m(segment.m + begin),
        v(segment.v + begin) {}

  __device__ __forceinline__ bool are_vectorizable() const {
    return is_aligned(weight, sizeof(T) * kVector) &&
           (sizeof(T) == sizeof(float) || is_aligned(low, sizeof(uint16_t) * kVector)) &&
           is_aligned(grad, sizeof(float) * kVector) && is_aligned(m, sizeof(float) * kVector) &&
           is_aligned(v, sizeof(float) * kVector);
  }
};

// N neighbours, in registers.
template <int N>
struct Elements {
  float p[N], g[N], m[N], v[N];
};

template <int N>
__device__ __forceinline__ void load_weights(float (&p)[N], const Parameters<float>& at, int i) {
  load_floats<N>(p, at.weight + i);
}
template <int N>
__device__ __forceinline__ void store_weights(const Parameters<float>& at, int i, const float (&p)[N]) {
  store_floats<N>(at.weight + i, p);
}

template <int N>
__device__ __forceinline__ void load_weights(float (&p)[N], const Parameters<bf16>& at, int i) {
  const auto weights = *reinterpret_cast<const Pack<uint16_t, N>*>(at.weight + i);
  const auto lows = *reinterpret_cast<const Pack<uint16_t, N>*>(at.low + i);
#pragma unroll
  for (int j = 0; j < N; ++j) p[j] = __uint_as_float(join_weight(weights.value[j], lows.value[j]));
}
template <int N>
__device__ __forceinline__ void store_weights(const Parameters<bf16>& at, int i, const float (&p)[N]) {
  Pack<uint16_t, N> weights, lows;
#pragma unroll
  for (int j = 0; j < N; ++j) {
    uint32_t bits = __float_as_uint(p[j]);
    weights.value[j] = split_weight(bits);
    lows.value[j] = static_cast<uint16_t>(bits);
  }
  *reinterpret_cast<Pack<uint16_t, N>*>(at.weight + i) = weights;
  *reinterpret_cast<Pack<uint16_t, N>*>(at.low + i) = lows;
}

template <int N, typename T>
__device__ __forceinline__ void load(Elements<N>& elements, const Parameters<T>& at, int i) {
  load_floats<N>(elements.g, at.grad + i);
  load_floats<N>(elements.m, at.m + i);
  load_floats<N>(elements.v, at.v + i);
  load_weights<N>(elements.p, at, i);
}

// The compiler is left no choice of what to contract, so that every kernel gives the same bits.
template <int N>
__device__ __forceinline__ void update(Elements<N>& elements, const AdamwScalars& s) {
  // The moment of a row that is not met any more fades out, as on the CPU.
  constexpr float kFaded = FLT_MIN * 1e8f;
#pragma unroll
  for (int i = 0; i < N; ++i) {
    const float g = __fmul_rn(elements.g[i], s.clip);
    const float lerp = __fmaf_rn(s.one_minus_beta1, g - elements.m[i], elements.m[i]);
    const float m = fabsf(lerp) < kFaded ? 0.f : lerp;
    const float v = __fmaf_rn(elements.v[i], s.beta2, s.one_minus_beta2 * g * g);
    elements.m[i] = m;
    elements.v[i] = v;
    elements.p[i] =
        __fmaf_rn(elements.p[i], s.decay, -(__fmul_rn(s.step_size, m) / (sqrtf(v) / s.root_correction2 + s.eps)));
  }
}

template <int N, typename T>
__device__ __forceinline__ void store(const Parameters<T>& at, int i, const Elements<N>& elements) {
  store_floats<N>(at.m + i, elements.m);
  store_floats<N>(at.v + i, elements.v);
  store_weights<N>(at, i, elements.p);
}

}  // namespace bertune::cuda
