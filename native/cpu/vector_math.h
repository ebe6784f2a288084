// Elementary functions that compilers vectorise inside plain loops: no branches, no calls, no tables.
//
// The float versions are range reduction + polynomial; the double versions, which only check gradients, are the C
// library's. Errors are the largest seen over all floats of the range, against the C library in double.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace bertune {

// eˣ. Zero below −87.3 (no subnormal results), infinity above 88.7.
inline float vexp(float x) {
  const float clamped = x < -87.3f ? -87.3f : (x > 88.72f ? 88.72f : x);
  // x = n·ln 2 + r,  |r| ≤ ln 2 / 2;  ln 2 in two parts, the first of few bits so that n times it is exact
  const float n = std::floor(clamped * 1.44269504f + 0.5f);
  const float r = (clamped - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  // 2ⁿ in two factors, so that n = 128 does not overflow on the way
  const int32_t exponent = static_cast<int32_t>(n);
  const int32_t half = exponent >> 1;
  const float result =
      p * std::bit_cast<float>((half + 127) << 23) * std::bit_cast<float>((exponent - half + 127) << 23);
  return x < -87.3f ? 0.0f : (x > 88.72f ? INFINITY : result);
}
inline double vexp(double x) { return std::exp(x); }

}  // namespace bertune
