// Conversions between the element types of host buffers and the scalars that backends compute in.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

#include "core/backend.h"

namespace bertune {

// Bytes of an element.
inline size_t dtype_size(Dtype dtype) {
  switch (dtype) {
    case Dtype::kF64:
      return 8;
    case Dtype::kF32:
      return 4;
    default:
      return 2;
  }
}

// IEEE binary16: 1 sign, 5 exponent (bias 15), 10 fraction bits.
inline float from_half(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t exponent = (half >> 10) & 0x1Fu, fraction = half & 0x3FFu;
  if (exponent == 0x1F) return std::bit_cast<float>(sign | 0x7F800000u | fraction << 13);  // infinity, NaN
  if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
  const float magnitude = static_cast<float>(fraction) * 0x1p-24f;  // subnormal, zero
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
}

inline uint16_t to_half(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000u);
  const uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return sign | 0x7E00u;   // NaN
  if (magnitude >= 0x477FF000u) return sign | 0x7C00u;  // 65520 and above round to infinity
  if (magnitude < 0x38800000u) {
    // Below 2⁻¹⁴ the result is subnormal: adding 0.5 leaves its bits, rounded, at the end of the sum.
    const float sum = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(sum) - std::bit_cast<uint32_t>(0.5f)));
  }
  const uint32_t rounded = magnitude + 0xFFFu + (magnitude >> 13 & 1u);
  return static_cast<uint16_t>(sign | ((rounded >> 13) - (112u << 10)));
}

// bfloat16: the upper half of a binary32.
inline float from_bfloat(uint16_t value) { return std::bit_cast<float>(static_cast<uint32_t>(value) << 16); }

inline uint16_t to_bfloat(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<uint16_t>(bits >> 16 | 0x40u);  // NaN stays NaN
  return static_cast<uint16_t>((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

constexpr size_t element_bytes(Dtype dtype) {
  return dtype == Dtype::kF64 ? sizeof(double) : dtype == Dtype::kF32 ? sizeof(float) : sizeof(uint16_t);
}

namespace elements {

// Host buffers come from files and may be at any address, so elements are copied out and in byte by byte.
template <typename Element, typename T, typename Convert>
void read_as(const void* inp, int64_t count, T* out, Convert convert) {
  const unsigned char* bytes = static_cast<const unsigned char*>(inp);
  for (int64_t i = 0; i < count; ++i) {
    Element element;
    std::memcpy(&element, bytes + i * sizeof(Element), sizeof(Element));
    out[i] = static_cast<T>(convert(element));
  }
}

template <typename Element, typename T, typename Convert>
void write_as(const T* inp, int64_t count, void* out, Convert convert) {
  unsigned char* bytes = static_cast<unsigned char*>(out);
  for (int64_t i = 0; i < count; ++i) {
    const Element element = convert(inp[i]);
    std::memcpy(bytes + i * sizeof(Element), &element, sizeof(Element));
  }
}

// The index of the first element whose exponent bits are all set, which is NaN or infinite; −1: none.
template <typename Bits>
int64_t first_with(Bits exponent, const void* inp, int64_t count) {
  const unsigned char* bytes = static_cast<const unsigned char*>(inp);
  const auto is_odd = [&](int64_t i) -> Bits {
    Bits bits;
    std::memcpy(&bits, bytes + i * sizeof(Bits), sizeof(Bits));
    return (bits & exponent) == exponent;
  };
  constexpr int64_t kBlock = 4096;
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t end = std::min(count, begin + kBlock);
    Bits odd = 0;
    for (int64_t i = begin; i < end; ++i) odd |= is_odd(i);
    for (int64_t i = begin; odd && i < end; ++i) {
      if (is_odd(i)) return i;
    }
  }
  return -1;
}

}  // namespace elements

// The index of the first NaN or infinity among `count` elements of `dtype`, at any alignment; −1: none.
inline int64_t first_not_finite(const void* inp, Dtype dtype, int64_t count) {
  switch (dtype) {
    case Dtype::kF64:
      return elements::first_with<uint64_t>(0x7FF0000000000000u, inp, count);
    case Dtype::kF32:
      return elements::first_with<uint32_t>(0x7F800000u, inp, count);
    case Dtype::kF16:
      return elements::first_with<uint16_t>(0x7C00u, inp, count);
    case Dtype::kBF16:
      return elements::first_with<uint16_t>(0x7F80u, inp, count);
  }
  return -1;
}

// out[i] = inp[i], from `count` elements of `dtype` at any alignment.
template <typename T>
void read_elements(const void* inp, Dtype dtype, int64_t count, T* out) {
  switch (dtype) {
    case Dtype::kF64:
      return elements::read_as<double>(inp, count, out, [](double x) { return x; });
    case Dtype::kF32:
      return elements::read_as<float>(inp, count, out, [](float x) { return x; });
    case Dtype::kF16:
      return elements::read_as<uint16_t>(inp, count, out, from_half);
    case Dtype::kBF16:
      return elements::read_as<uint16_t>(inp, count, out, from_bfloat);
  }
}

// out[i] = inp[i], to `count` elements of `dtype` at any alignment, rounded to nearest, ties to even.
template <typename T>
void write_elements(const T* inp, int64_t count, Dtype dtype, void* out) {
  switch (dtype) {
    case Dtype::kF64:
      return elements::write_as<double>(inp, count, out, [](T x) { return static_cast<double>(x); });
    case Dtype::kF32:
      return elements::write_as<float>(inp, count, out, [](T x) { return static_cast<float>(x); });
    case Dtype::kF16:
      return elements::write_as<uint16_t>(inp, count, out, [](T x) { return to_half(static_cast<float>(x)); });
    case Dtype::kBF16:
      return elements::write_as<uint16_t>(inp, count, out, [](T x) { return to_bfloat(static_cast<float>(x)); });
  }
}

}  // namespace bertune
