// Activations:
//
//   GELU   out = x · Φ(x), Φ(x) = (1 + erf(x / √2)) / 2    dinp = dout · (Φ(x) + x · e^(−x² / 2) / √(2π)), x saved
//     tanh out = x · s, s = σ(2u), u as below              dinp = dout · (s + 2x · s · (1 − s) · u'), x saved
//   tanh   out = y = tanh(x)                               dinp = dout · (1 − y²), y saved
//   ReLU   out = y = max(x, 0)                             dinp = dout where y > 0, x or y saved
//   SiLU   out = x · s, s = σ(x)                           dinp = dout · (s + x · s · (1 − s)), x saved
//
// σ(z) = 1 / (1 + e^(−z)) and u = √(2/π) · (x + 0.044715 x³): x · σ(2u) is x / 2 · (1 + tanh u).
#pragma once

#include "core/backend.h"
#include "cuda/simt.h"

namespace bertune::cuda {

// Each activation as a type, so that its loop has no branch.
struct None {
  static __device__ __forceinline__ float value(float x) { return x; }
  static __device__ __forceinline__ float slope(float) { return 1.f; }
};
struct Gelu {
  static __device__ __forceinline__ float cumulative(float x) { return 0.5f * (1.f + erff(x * 0.70710678118654752f)); }
  static __device__ __forceinline__ float value(float x) { return x * cumulative(x); }
  static __device__ __forceinline__ float slope(float x) {
    return cumulative(x) + x * 0.39894228040143268f * expf(-0.5f * x * x);
  }
};
struct Tanh {
  static __device__ __forceinline__ float value(float x) { return tanhf(x); }
  static __device__ __forceinline__ float slope(float y) { return 1.f - y * y; }
};
struct Relu {
  static __device__ __forceinline__ float value(float x) { return x < 0.f ? 0.f : x; }  // NaN stays NaN
  static __device__ __forceinline__ float slope(float y) { return y > 0.f ? 1.f : 0.f; }
};

// x, but no further from zero than `limit`; NaN stays NaN.
__device__ __forceinline__ float near_zero(float x, float limit) { return x < -limit ? -limit : x > limit ? limit : x; }
// σ(z) and 1 − σ(z), both to full precision. e^|z| is finite.
struct Logistic {
  float value, rest;
};
__device__ __forceinline__ Logistic logistic(float z) {
  const float e = expf(-z), value = 1.f / (1.f + e);
  return {value, e * value};
}
struct GeluTanh {
  static constexpr float kScale = 1.5957691216057308f;  // 2 · √(2/π)
  static constexpr float kCubic = 0.044715f;
  static constexpr float kFar = 10.f;  // σ is 0 or 1 from here on
  static __device__ __forceinline__ float value(float x) {
    const float t = near_zero(x, kFar);
    return x * logistic(kScale * (t + kCubic * (t * t * t))).value;
  }
  static __device__ __forceinline__ float slope(float x) {
    const float t = near_zero(x, kFar), square = t * t;
    const Logistic s = logistic(kScale * (t + kCubic * (square * t)));
    return s.value + t * s.value * s.rest * (kScale * (1.f + 3.f * kCubic * square));
  }
};
struct Silu {
  static constexpr float kFar = 80.f;
  static __device__ __forceinline__ float value(float x) { return x * logistic(near_zero(x, kFar)).value; }
  static __device__ __forceinline__ float slope(float x) {
    const float t = near_zero(x, kFar);
    const Logistic s = logistic(t);
    return s.value + t * s.value * s.rest;
  }
};

// Calls launch with the activation's type.
#pragma nv_exec_check_disable
template <typename Launch>
__host__ __device__ __forceinline__ void with_activation(Activation activation, const Launch& launch) {
  switch (activation) {
    case Activation::kNone:
      return launch(None{});
    case Activation::kGelu:
      return launch(Gelu{});
    case Activation::kTanh:
      return launch(Tanh{});
    case Activation::kRelu:
      return launch(Relu{});
    case Activation::kGeluTanh:
      return launch(GeluTanh{});
    case Activation::kSilu:
      return launch(Silu{});
  }
}

}  // namespace bertune::cuda
