// Weights between the host's element types and device memory. Elements are converted on the host, a part at a time.
#include "cuda/weights.h"

#include <algorithm>
#include <bit>
#include <type_traits>
#include <vector>

#include "core/elements.h"
#include "cuda/master.cuh"
#include "cuda/scalar.cuh"

namespace bertune::cuda {
namespace {

constexpr int64_t kPart = 1 << 16;  // elements converted at a time

template <typename T>
constexpr Dtype dtype_of() {
  return std::is_same_v<T, bf16> ? Dtype::kBF16 : Dtype::kF32;
}

// Calls work(begin, length) for [0, count) in parts.
template <typename Work>
void for_parts(int64_t count, Work&& work) {
  for (int64_t begin = 0; begin < count; begin += kPart) work(begin, std::min(kPart, count - begin));
}

const unsigned char* element(const void* host, Dtype dtype, int64_t index) {
  return static_cast<const unsigned char*>(host) + index * element_bytes(dtype);
}
unsigned char* element(void* host, Dtype dtype, int64_t index) {
  return static_cast<unsigned char*>(host) + index * element_bytes(dtype);
}

void copy(Context& context, void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  if (bytes > 0) BERTUNE_CUDA(cudaMemcpyAsync(to, from, bytes, kind, context.stream));
}

// The host's side of a transfer is read or written again as soon as this returns.
void wait(Context& context) { BERTUNE_CUDA(cudaStreamSynchronize(context.stream)); }

void write_split(Context& context, uint16_t* weight, uint16_t* low, const void* host, Dtype dtype, int64_t count) {
  const size_t part = std::min(count, kPart);
  std::vector<float> values(part);
  std::vector<uint16_t> weights(part), lows(part);
  for_parts(count, [&](int64_t begin, int64_t length) {
    read_elements(element(host, dtype, begin), dtype, length, values.data());
    for (int64_t i = 0; i < length; ++i) {
      uint32_t bits = std::bit_cast<uint32_t>(values[i]);
      weights[i] = split_weight(bits);
      lows[i] = static_cast<uint16_t>(bits);
    }
    copy(context, weight + begin, weights.data(), length * sizeof(uint16_t), cudaMemcpyHostToDevice);
    copy(context, low + begin, lows.data(), length * sizeof(uint16_t), cudaMemcpyHostToDevice);
    wait(context);
  });
}

void read_split(Context& context, void* host, Dtype dtype, const uint16_t* weight, const uint16_t* low, int64_t count) {
  const size_t part = std::min(count, kPart);
  std::vector<float> values(part);
  std::vector<uint16_t> weights(part), lows(part);
  for_parts(count, [&](int64_t begin, int64_t length) {
    copy(context, weights.data(), weight + begin, length * sizeof(uint16_t), cudaMemcpyDeviceToHost);
    copy(context, lows.data(), low + begin, length * sizeof(uint16_t), cudaMemcpyDeviceToHost);
    wait(context);
    for (int64_t i = 0; i < length; ++i) values[i] = std::bit_cast<float>(join_weight(weights[i], lows[i]));
    write_elements(values.data(), length, dtype, element(host, dtype, begin));
  });
}

}  // namespace

template <typename Scalar>
void write_scalars(Context& context, Scalar* device, const void* host, Dtype dtype, int64_t count) {
  constexpr Dtype kDtype = dtype_of<Scalar>();
  if (dtype == kDtype) {
    copy(context, device, host, count * sizeof(Scalar), cudaMemcpyHostToDevice);
    return wait(context);
  }
  const size_t part = std::min(count, kPart);
  std::vector<float> values(part);
  std::vector<unsigned char> converted(part * sizeof(Scalar));
  for_parts(count, [&](int64_t begin, int64_t length) {
    read_elements(element(host, dtype, begin), dtype, length, values.data());
    write_elements(values.data(), length, kDtype, converted.data());
    copy(context, device + begin, converted.data(), length * sizeof(Scalar), cudaMemcpyHostToDevice);
    wait(context);
  });
}

template <typename Scalar>
void read_scalars(Context& context, void* host, Dtype dtype, const Scalar* device, int64_t count) {
  constexpr Dtype kDtype = dtype_of<Scalar>();
  if (dtype == kDtype) {
    copy(context, host, device, count * sizeof(Scalar), cudaMemcpyDeviceToHost);
    return wait(context);
  }
  const size_t part = std::min(count, kPart);
  std::vector<unsigned char> fetched(part * sizeof(Scalar));
  std::vector<float> values(part);
  for_parts(count, [&](int64_t begin, int64_t length) {
    copy(context, fetched.data(), device + begin, length * sizeof(Scalar), cudaMemcpyDeviceToHost);
    wait(context);
    read_elements(fetched.data(), kDtype, length, values.data());
    write_elements(values.data(), length, dtype, element(host, dtype, begin));
  });
}

template <typename T>
void write_weight(Context& context, Real* weight, Master* master, const void* host, Dtype dtype, int64_t count) {
  if constexpr (std::is_same_v<T, bf16>) {
    if (master != nullptr) {
      return write_split(context, reinterpret_cast<uint16_t*>(weight), reinterpret_cast<uint16_t*>(master), host, dtype,
                         count);
    }
  }
  write_scalars(context, scalars<T>(weight), host, dtype, count);
}

template <typename T>
void read_weight(Context& context, void* host, Dtype dtype, const Real* weight, const Master* master, int64_t count) {
  if constexpr (std::is_same_v<T, bf16>) {
    if (master != nullptr) {
      return read_split(context, host, dtype, reinterpret_cast<const uint16_t*>(weight),
                        reinterpret_cast<const uint16_t*>(master), count);
    }
  }
  read_scalars(context, host, dtype, scalars<T>(weight), count);
}

#define BERTUNE_INSTANTIATE(T)                                                               \
  template void write_weight<T>(Context&, Real*, Master*, const void*, Dtype, int64_t);      \
  template void read_weight<T>(Context&, void*, Dtype, const Real*, const Master*, int64_t); \
  template void write_scalars<T>(Context&, T*, const void*, Dtype, int64_t);                 \
  template void read_scalars<T>(Context&, void*, Dtype, const T*, int64_t);
BERTUNE_INSTANTIATE(float)
BERTUNE_INSTANTIATE(bf16)
#undef BERTUNE_INSTANTIATE

}  // namespace bertune::cuda
