// GELU(x) = x · Φ(x) with the exact normal distribution (erf) or its tanh approximation, tanh, ReLU and SiLU.
//
//   forward    out = f(inp)            (rows,n)
//   backward   dinp = dropout(dout) · f'   (rows,n), from what was saved, x the preactivation and y the output:
//              GELU, erf    x · Φ(x)         Φ(x) + x · φ(x)                        x
//              GELU, tanh   x · σ(2u(x))     σ + 2x · σ · (1 − σ) · u'(x)           x
//              tanh         tanh(x)          1 − y²                                 y
//              ReLU         max(x, 0)        y > 0                                  x or y
//              SiLU         x · σ(x)         σ + x · σ · (1 − σ)                    x
//
// σ(z) = 1 / (1 + e^(−z)) and u(x) = √(2/π) · (x + 0.044715 x³): x · σ(2u) is x / 2 · (1 + tanh u) without the
// cancellation where u is far below zero.
#include "cpu/activation.h"

#include <algorithm>

#include "cpu/dropout.h"
#include "cpu/operations.h"
#include "cpu/scalar.h"
#include "cpu/vector_math.h"

namespace bertune {
namespace {

// Each activation as a type, so that the loop over a row is compiled without a branch.
template <typename T>
struct Gelu {
  static T value(T x) { return x * normal(x).cumulative; }
  static T slope(T x) {
    const Normal<T> at = normal(x);
    return at.cumulative + x * at.density;
  }
};
template <typename T>
struct Tanh {
  static T value(T x) { return vtanh(x); }
  static T slope(T y) { return T(1) - y * y; }
};
template <typename T>
struct Relu {
  static T value(T x) { return x < T(0) ? T(0) : x; }  // NaN stays NaN
  static T slope(T y) { return y > T(0) ? T(1) : T(0); }
};

// x, but no further from zero than `limit`; NaN stays NaN.
template <typename T>
T near_zero(T x, T limit) {
  const T above = x < -limit ? -limit : x;
  return above > limit ? limit : above;
}
// σ(z) and 1 − σ(z), both to full precision. e^|z| is finite.
template <typename T>
struct Logistic {
  T value, rest;
};
template <typename T>
Logistic<T> logistic(T z) {
  const T e = vexp(-z), value = T(1) / (T(1) + e);
  return {value, e * value};
}
template <typename T>
struct GeluTanh {
  static constexpr T kScale = T(1.5957691216057307118);  // 2 · √(2/π)
  static constexpr T kCubic = T(0.044715);
  static constexpr T kFar = T(10);  // σ is 0 or 1 from here on
  static T value(T x) {
    const T t = near_zero(x, kFar);
    return x * logistic(kScale * (t + kCubic * (t * t * t))).value;
  }
  static T slope(T x) {
    const T t = near_zero(x, kFar), square = t * t;
    const Logistic<T> s = logistic(kScale * (t + kCubic * (square * t)));
    return s.value + t * s.value * s.rest * (kScale * (T(1) + T(3) * kCubic * square));
  }
};
template <typename T>
struct Silu {
  static constexpr T kFar = T(80);
  static T value(T x) { return x * logistic(near_zero(x, kFar)).value; }
  static T slope(T x) {
    const T t = near_zero(x, kFar);
    const Logistic<T> s = logistic(t);
    return s.value + t * s.value * s.rest;
  }
};

template <typename F, typename T>
void value_row(int n, const T* inp, T* out) {
#pragma omp simd
  for (int i = 0; i < n; ++i) out[i] = F::value(inp[i]);
}

template <typename F, typename T>
void slope_row(int n, const T* saved, const T* dout, T* dinp) {
#pragma omp simd
  for (int i = 0; i < n; ++i) dinp[i] = dout[i] * F::slope(saved[i]);
}

}  // namespace

template <typename T>
void activation_row(Activation activation, int n, const T* inp, T* out) {
  switch (activation) {
    case Activation::kNone:
      if (out != inp) std::copy_n(inp, n, out);
      return;
    case Activation::kGelu:
      return value_row<Gelu<T>>(n, inp, out);
    case Activation::kTanh:
      return value_row<Tanh<T>>(n, inp, out);
    case Activation::kRelu:
      return value_row<Relu<T>>(n, inp, out);
    case Activation::kGeluTanh:
      return value_row<GeluTanh<T>>(n, inp, out);
    case Activation::kSilu:
      return value_row<Silu<T>>(n, inp, out);
  }
}

template <typename T>
void activation_row_backward(Activation activation, int n, const T* saved, const T* dout, T* dinp) {
  switch (activation) {
    case Activation::kNone:
      if (dinp != dout) std::copy_n(dout, n, dinp);
      return;
    case Activation::kGelu:
      return slope_row<Gelu<T>>(n, saved, dout, dinp);
    case Activation::kTanh:
      return slope_row<Tanh<T>>(n, saved, dout, dinp);
    case Activation::kRelu:
      return slope_row<Relu<T>>(n, saved, dout, dinp);
    case Activation::kGeluTanh:
      return slope_row<GeluTanh<T>>(n, saved, dout, dinp);
    case Activation::kSilu:
      return slope_row<Silu<T>>(n, saved, dout, dinp);
  }
}

template <typename T>
void activation_forward(Context& context, const ActivationForward& args) {
  const T* inp = scalars<T>(args.inp);
  T* out = scalars<T>(args.out);
  const size_t n = args.n;
  context.for_rows(args.rows, [&](int, Range rows) {
    for (size_t row = rows.begin; row < static_cast<size_t>(rows.end); ++row) {
      activation_row(args.activation, args.n, inp + row * n, out + row * n);
    }
  });
}

template <typename T>
void activation_backward(Context& context, const ActivationBackward& args) {
  const T* saved = scalars<T>(args.saved);
  const T* dout = scalars<T>(args.dout);
  T* dinp = scalars<T>(args.dinp);
  const size_t n = args.n;
  context.for_rows(args.rows, [&](int, Range rows) {
    for (size_t row = rows.begin; row < static_cast<size_t>(rows.end); ++row) {
      const T* gradient = dout + row * n;
      if (args.dropout.p > 0) {
        const DropoutPlace place = context.place(args.rows.kind, static_cast<int64_t>(row));
        dropout_row(context.step.seed, args.dropout, place, args.n, gradient, dinp + row * n);
        gradient = dinp + row * n;
      }
      activation_row_backward(args.activation, args.n, saved + row * n, gradient, dinp + row * n);
    }
  });
}

template void activation_row(Activation, int, const float*, float*);
template void activation_row(Activation, int, const double*, double*);
template void activation_row_backward(Activation, int, const float*, const float*, float*);
template void activation_row_backward(Activation, int, const double*, const double*, double*);
template void activation_forward<float>(Context&, const ActivationForward&);
template void activation_forward<double>(Context&, const ActivationForward&);
template void activation_backward<float>(Context&, const ActivationBackward&);
template void activation_backward<double>(Context&, const ActivationBackward&);

}  // namespace bertune
