#include "cpu/memory.h"

#include <atomic>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>

#include "core/error.h"
#include "cpu/system_memory.h"

namespace bertune {
namespace {

constexpr size_t kAlignment = 64;

// Bytes of all sessions of the process, which share the machine.
std::atomic<size_t> held{0};

[[noreturn]] void refuse(size_t bytes, const char* what, const std::string& reason) {
  throw Error("OUT_OF_MEMORY",
              "Expected to allocate " + std::to_string(bytes) + " bytes for " + what + " but " + reason);
}

// Memory is promised before it is there: a process that uses more than the machine has is killed instead of told.
// So what can never fit is refused here.
void hold(size_t bytes, const char* what) {
  const uint64_t limit = system_memory_limit();
  const size_t before = held.fetch_add(bytes);
  if (limit == 0 || (bytes <= limit && before <= limit - bytes)) return;
  held.fetch_sub(bytes);
  const std::string taken = before > 0 ? ", of which models hold " + std::to_string(before) : "";
  refuse(bytes, what, "the machine has " + std::to_string(limit) + taken);
}

class CpuMemory final : public Memory {
 public:
  // `block` comes from calloc and has room for `bytes`, which are held, behind the first aligned address.
  CpuMemory(void* block, size_t bytes) : block_(block), bytes_(bytes) {
    data_ = block_;
    size_t space = bytes_ + kAlignment;
    std::align(kAlignment, bytes_, data_, space);
  }
  ~CpuMemory() override {
    std::free(block_);
    held.fetch_sub(bytes_);
  }
  CpuMemory(const CpuMemory&) = delete;
  CpuMemory& operator=(const CpuMemory&) = delete;

  void* data() const override { return data_; }
  size_t bytes() const override { return bytes_; }

 private:
  void* block_;
  void* data_;
  size_t bytes_;
};

// IEEE binary16: 1 sign, 5 exponent (bias 15), 10 fraction bits.
float from_half(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t exponent = (half >> 10) & 0x1Fu, fraction = half & 0x3FFu;
  if (exponent == 0x1F) return std::bit_cast<float>(sign | 0x7F800000u | fraction << 13);  // infinity, NaN
  if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
  const float magnitude = static_cast<float>(fraction) * 0x1p-24f;  // subnormal, zero
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
}

uint16_t to_half(float value) {
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
float from_bfloat(uint16_t value) { return std::bit_cast<float>(static_cast<uint32_t>(value) << 16); }

uint16_t to_bfloat(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<uint16_t>(bits >> 16 | 0x40u);  // NaN stays NaN
  return static_cast<uint16_t>((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

// Host buffers come from files, at any address: elements are copied out and in byte by byte.
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

}  // namespace

Memory* allocate_memory(size_t bytes, const char* what) {
  hold(bytes, what);
  // calloc takes zero pages from the system as they are touched, so memory that is not used yet is not resident.
  void* block = bytes > SIZE_MAX - kAlignment ? nullptr : std::calloc(bytes + kAlignment, 1);
  CpuMemory* memory = block == nullptr ? nullptr : new (std::nothrow) CpuMemory(block, bytes);
  if (memory == nullptr) {
    std::free(block);
    held.fetch_sub(bytes);
    refuse(bytes, what, "the system refused");
  }
  return memory;
}

template <typename T>
void read_elements(const void* inp, Dtype dtype, int64_t count, T* out) {
  switch (dtype) {
    case Dtype::kF64:
      return read_as<double>(inp, count, out, [](double x) { return x; });
    case Dtype::kF32:
      return read_as<float>(inp, count, out, [](float x) { return x; });
    case Dtype::kF16:
      return read_as<uint16_t>(inp, count, out, from_half);
    case Dtype::kBF16:
      return read_as<uint16_t>(inp, count, out, from_bfloat);
  }
}

template <typename T>
void write_elements(const T* inp, int64_t count, Dtype dtype, void* out) {
  switch (dtype) {
    case Dtype::kF64:
      return write_as<double>(inp, count, out, [](T x) { return static_cast<double>(x); });
    case Dtype::kF32:
      return write_as<float>(inp, count, out, [](T x) { return static_cast<float>(x); });
    case Dtype::kF16:
      return write_as<uint16_t>(inp, count, out, [](T x) { return to_half(static_cast<float>(x)); });
    case Dtype::kBF16:
      return write_as<uint16_t>(inp, count, out, [](T x) { return to_bfloat(static_cast<float>(x)); });
  }
}

template void read_elements(const void*, Dtype, int64_t, float*);
template void read_elements(const void*, Dtype, int64_t, double*);
template void write_elements(const float*, int64_t, Dtype, void*);
template void write_elements(const double*, int64_t, Dtype, void*);

}  // namespace bertune
