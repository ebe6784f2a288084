// Activations by themselves, element by element over dense (rows,n).
//
//   GELU   out = x · Φ(x), Φ(x) = (1 + erf(x / √2)) / 2    dinp = dout · (Φ(x) + x · e^(−x² / 2) / √(2π)), x saved
//     tanh out = x · s, s = σ(2u), u as below              dinp = dout · (s + 2x · s · (1 − s) · u'), x saved
//   tanh   out = y = tanh(x)                               dinp = dout · (1 − y²), y saved
//   ReLU   out = y = max(x, 0)                             dinp = dout where y > 0, x or y saved
//   SiLU   out = x · s, s = σ(x)                           dinp = dout · (s + x · s · (1 − s)), x saved
//
// σ(z) = 1 / (1 + e^(−z)) and u = √(2/π) · (x + 0.044715 x³): x · σ(2u) is x / 2 · (1 + tanh u).
#include "cuda/columns.cuh"
#include "cuda/operations.h"

namespace bertune::cuda {
namespace {

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

constexpr int kThreads = 256;

// The elements of a thread, all rows one after the other: those behind the last whole vector one by one.
template <bool kVector, int N, typename T>
__device__ __forceinline__ void load_elements(float (&out)[N], const T* inp, int64_t at, int64_t count) {
  if (kVector && at + N <= count) {
    load_floats<N>(out, inp + at);
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i) out[i] = at + i < count ? to_float(inp[at + i]) : 0.f;
  }
}

template <bool kVector, int N, typename T>
__device__ __forceinline__ void store_elements(T* out, int64_t at, int64_t count, const float (&inp)[N]) {
  if (kVector && at + N <= count) {
    store_floats<N>(out + at, inp);
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i) {
      if (at + i < count) out[at + i] = from_float<T>(inp[i]);
    }
  }
}

// Grid: ceil(rows.padded · n / (256 · N)); block: 256.
template <typename T, bool kVector, typename F>
__global__ void activation_forward_kernel(RowCount rows, int n, const T* inp /* (rows,n) */,
                                          T* out /* (rows,n); may be inp */) {
  constexpr int N = kVectorColumns<T>;
  const int64_t at = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) * N;
  const int64_t count = static_cast<int64_t>(rows.padded) * n, live = static_cast<int64_t>(rows.count()) * n;
  float values[N];
  load_elements<kVector>(values, inp, at, count);
#pragma unroll
  for (int i = 0; i < N; ++i) values[i] = at + i < live ? F::value(values[i]) : 0.f;
  store_elements<kVector>(out, at, count, values);
}

// Grid: ceil(rows.padded · n / (256 · N)); block: 256.
template <typename T, bool kVector, typename F>
__global__ void activation_backward_kernel(RowCount rows, int n, const T* saved /* (rows,n) */,
                                           const T* dout /* (rows,n) */, T* dinp /* (rows,n); may be dout */) {
  constexpr int N = kVectorColumns<T>;
  const int64_t at = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) * N;
  const int64_t count = static_cast<int64_t>(rows.padded) * n, live = static_cast<int64_t>(rows.count()) * n;
  float values[N], gradient[N];
  load_elements<kVector>(values, saved, at, count);
  load_elements<kVector>(gradient, dout, at, count);
#pragma unroll
  for (int i = 0; i < N; ++i) gradient[i] = at + i < live ? gradient[i] * F::slope(values[i]) : 0.f;
  store_elements<kVector>(dinp, at, count, gradient);
}

template <typename Launch>
void with_activation(Activation activation, const Launch& launch) {
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

template <typename T>
unsigned grid_of(const Rows& rows, int n) {
  return ceil_div(static_cast<int64_t>(rows.count) * n, kThreads * kVectorColumns<T>);
}

template <typename T>
bool is_aligned(const T* pointer) {
  constexpr int N = kVectorColumns<T>;
  return is_vectorizable<N>(pointer, N, N);
}

}  // namespace

template <typename T>
void activation_forward(Context& context, const ActivationForward& args) {
  if (args.rows.count == 0) return;
  const T* inp = scalars<T>(args.inp);
  T* out = scalars<T>(args.out);
  const bool vectors = is_aligned(inp) && is_aligned(out);
  with_activation(args.activation, [&](auto activation) {
    using F = decltype(activation);
    context.launch(vectors ? activation_forward_kernel<T, true, F> : activation_forward_kernel<T, false, F>,
                   grid_of<T>(args.rows, args.n), kThreads, 0, context.rows(args.rows), args.n, inp, out);
  });
}

template <typename T>
void activation_backward(Context& context, const ActivationBackward& args) {
  if (args.rows.count == 0) return;
  const T* saved = scalars<T>(args.saved);
  const T* dout = scalars<T>(args.dout);
  T* dinp = scalars<T>(args.dinp);
  const bool vectors = is_aligned(saved) && is_aligned(dout) && is_aligned(dinp);
  with_activation(args.activation, [&](auto activation) {
    using F = decltype(activation);
    context.launch(vectors ? activation_backward_kernel<T, true, F> : activation_backward_kernel<T, false, F>,
                   grid_of<T>(args.rows, args.n), kThreads, 0, context.rows(args.rows), args.n, saved, dout, dinp);
  });
}

template void activation_forward<float>(Context&, const ActivationForward&);
template void activation_forward<bf16>(Context&, const ActivationForward&);
template void activation_backward<float>(Context&, const ActivationBackward&);
template void activation_backward<bf16>(Context&, const ActivationBackward&);

}  // namespace bertune::cuda
