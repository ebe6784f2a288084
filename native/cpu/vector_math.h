// Elementary functions that compilers vectorize inside plain loops: no branches, no calls, no tables.
//
// The float versions are range reduction and minimax polynomials; the double versions, which only check gradients, are
// the C library's. The stated errors are the largest over all floats in the range, against the C library in double.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace bertune {

// eˣ. Zero below −87.3 (no subnormal results), infinity above 88.37. Error 1.0 ulp.
inline float vexp(float x) {
  constexpr float kLowest = -87.3f, kHighest = 88.37f;
  float clamped = x < kLowest ? kLowest : x;
  clamped = clamped > kHighest ? kHighest : clamped;
  // x = n·ln 2 + r with |r| ≤ ln 2 / 2. Adding 1.5 · 2²³ leaves n, rounded, in the low bits of the sum.
  constexpr float kRound = 12582912.0f;
  const float rounded = clamped * 1.44269504f + kRound;
  const float n = rounded - kRound;
  // ln 2 in two parts, the first with so few bits that n times it is exact.
  const float r = (clamped - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 0.00138146128f;
  p = p * r + 0.00836871006f;
  p = p * r + 0.0416683890f;
  p = p * r + 0.166665211f;
  p = p * r + 0.499999940f;
  p = p * (r * r) + r + 1.0f;
  const float power = std::bit_cast<float>((std::bit_cast<uint32_t>(rounded) << 23) + 0x3F800000u);
  const float result = p * power;
  return x < kLowest ? 0.0f : (x > kHighest ? std::numeric_limits<float>::infinity() : result);
}
inline double vexp(double x) { return std::exp(x); }

// tanh x. Error 1.5 ulp.
inline float vtanh(float x) {
  const float magnitude = std::fabs(x);
  // Near zero x + x³·p(x²), beyond it 1 − 2 / (e²ˣ + 1).
  const float square = x * x;
  float p = -0.00570498593f;
  p = p * square + 0.0206390861f;
  p = p * square - 0.0537397154f;
  p = p * square + 0.133314416f;
  p = p * square - 0.333332807f;
  const float near = p * (square * magnitude) + magnitude;
  const float far = 1.0f - 2.0f / (vexp(2.0f * (magnitude > 10.0f ? 10.0f : magnitude)) + 1.0f);
  return std::copysign(magnitude < 0.625f ? near : far, x);
}
inline double vtanh(double x) { return std::tanh(x); }

// The standard normal distribution at x: Φ(x) = (1 + erf(x/√2)) / 2 and φ(x) = e^(−x²/2) / √(2π).
template <typename T>
struct Normal {
  T cumulative;
  T density;
};

// With t = |x| and e = e^(−x²/2):  Φ(−t) = e·q(t), where q(t) = erfcx(t/√2) / 2 is smooth and 1/2 plus a polynomial in
// t / (t + 3) follows it. So one exponential serves both values, and the lower tail keeps its relative precision.
// Absolute error of Φ 9e-8, of φ 5e-8.
inline Normal<float> normal(float x) {
  const float magnitude = std::fabs(x);
  const float t = magnitude > 20.0f ? 20.0f : magnitude;
  const float e = vexp(-0.5f * (x * x));
  const float v = t / (t + 3.0f);
  float q = 0.0274837911f;
  q = q * v - 0.0940979570f;
  q = q * v + 0.0855825171f;
  q = q * v + 0.00760664558f;
  q = q * v + 0.0630686134f;
  q = q * v - 0.159045696f;
  q = q * v - 0.286915869f;
  q = q * v + 1.05315006f;
  q = q * v - 1.19682634f;
  q = q * v + 0.5f;
  const float tail = e * q;
  return {x < 0.0f ? tail : 1.0f - tail, e * 0.398942280f};
}
inline Normal<double> normal(double x) {
  return {0.5 * std::erfc(-x * 0.70710678118654752440), std::exp(-0.5 * x * x) * 0.39894228040143267794};
}

}  // namespace bertune
