// GELU(x) = x · Φ(x) with the exact normal distribution (erf, not its tanh approximation), tanh and ReLU.
//
//   forward    out = f(inp)            (rows,n)
//   backward   dinp = dout · f'        (rows,n), from what was saved:
//              GELU   Φ(x) + x · φ(x)    x: the preactivation
//              tanh   1 − y²             y: the output
//              ReLU   y > 0              y: the output
#include "cpu/activation.h"

#include <algorithm>

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
  }
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
      activation_row_backward(args.activation, args.n, saved + row * n, dout + row * n, dinp + row * n);
    }
  });
}

template void activation_row(Activation, int, const float*, float*);
template void activation_row(Activation, int, const double*, double*);
template void activation_forward<float>(Context&, const ActivationForward&);
template void activation_forward<double>(Context&, const ActivationForward&);
template void activation_backward<float>(Context&, const ActivationBackward&);
template void activation_backward<double>(Context&, const ActivationBackward&);

}  // namespace bertune
