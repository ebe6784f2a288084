// The calls of the runtime API about the device, its memory and its functions. Streams and graphs have their own files.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "device_memory.h"
#include "fault.h"
#include "race.h"
#include "shared_memory.h"
#include "state.h"
#include "stream.h"

namespace simt {
namespace {

constexpr int kMultiprocessors = 4;
constexpr int kCacheBytes = 256 << 10;  // small: that of a GPU is filled to time products

cudaMemcpyKind infer_kind(const void* out, const void* inp, size_t bytes) {
  const bool to_device = is_device_range(out, bytes), from_device = is_device_range(inp, bytes);
  if (to_device) return from_device ? cudaMemcpyDeviceToDevice : cudaMemcpyHostToDevice;
  return from_device ? cudaMemcpyDeviceToHost : cudaMemcpyHostToHost;
}

cudaError_t check_copy(const void* out, const void* inp, size_t bytes, cudaMemcpyKind kind) {
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (to_device && !is_device_range(out, bytes)) return cudaErrorInvalidValue;
  if (from_device && !is_device_range(inp, bytes)) return cudaErrorInvalidValue;
  return cudaSuccess;
}

void copy(void* out, const void* inp, size_t bytes) {
  if (!device_works()) return;
  memcpy(out, inp, bytes);
  if (is_device_range(out, bytes)) race_host_wrote(out, bytes);
}

}  // namespace
}  // namespace simt

inline namespace simt_cudart {
using namespace simt;

cudaError_t cudaGetDeviceCount(int* count) {
  const Lock lock(mutex());
  read_environment();
  *count = config().devices;
  return cudaSuccess;
}

cudaError_t cudaGetDevice(int* device) {
  *device = current_device();
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  const Lock lock(mutex());
  if (device < 0 || device >= config().devices) return remember(cudaErrorInvalidDevice);
  current_device() = device;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  const Lock lock(mutex());
  if (device < 0 || device >= config().devices) return remember(cudaErrorInvalidDevice);
  *properties = {};
  snprintf(properties->name, sizeof properties->name, "SIMT emulator (%s)", build_kind());
  properties->totalGlobalMem = config().memory_limit;
  properties->sharedMemPerBlock = kSharedWithoutAsking;
  properties->sharedMemPerBlockOptin = config().shared_memory_per_block;
  properties->multiProcessorCount = kMultiprocessors;
  properties->major = capability() / 10;
  properties->minor = capability() % 10;
  properties->l2CacheSize = kCacheBytes;
  properties->warpSize = 32;
  properties->maxThreadsPerBlock = 1024;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  cudaDeviceProp properties;
  if (const cudaError_t error = cudaGetDeviceProperties(&properties, device)) return error;
  switch (attribute) {
    case cudaDevAttrMaxSharedMemoryPerBlock:
      *value = static_cast<int>(properties.sharedMemPerBlock);
      return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = static_cast<int>(properties.sharedMemPerBlockOptin);
      return cudaSuccess;
    case cudaDevAttrWarpSize:
      *value = properties.warpSize;
      return cudaSuccess;
    case cudaDevAttrMultiProcessorCount:
      *value = properties.multiProcessorCount;
      return cudaSuccess;
    case cudaDevAttrL2CacheSize:
      *value = properties.l2CacheSize;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMajor:
      *value = properties.major;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor:
      *value = properties.minor;
      return cudaSuccess;
  }
  return remember(cudaErrorInvalidValue);
}

cudaError_t cudaDriverGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}

cudaError_t cudaDeviceReset() {
  const Lock lock(mutex());
  clear_report();
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** pointer, size_t bytes) {
  const Lock lock(mutex());
  *pointer = nullptr;
  if (const cudaError_t error = refuse_while_capturing()) return remember(error);
  if (sticky_error() != cudaSuccess || fails_now(Fault::kCall)) return remember(sticky_error());
  if (fails_now(Fault::kAllocation)) return remember(cudaErrorMemoryAllocation);
  return remember(device_allocate(pointer, bytes));
}

cudaError_t cudaFree(void* pointer) {
  if (!pointer) return cudaSuccess;
  const Lock lock(mutex());
  if (const cudaError_t error = refuse_while_capturing()) return remember(error);
  drain_all();  // cudaFree waits for the device
  if (const cudaError_t error = device_free(pointer)) return remember(error);
  return sticky_error();
}

cudaError_t cudaMallocHost(void** pointer, size_t bytes, unsigned) {
  const Lock lock(mutex());
  *pointer = nullptr;
  if (const cudaError_t error = refuse_while_capturing()) return remember(error);
  if (sticky_error() != cudaSuccess || fails_now(Fault::kCall)) return remember(sticky_error());
  if (fails_now(Fault::kAllocation)) return remember(cudaErrorMemoryAllocation);
  if (posix_memalign(pointer, 4096, bytes) != 0) return remember(cudaErrorMemoryAllocation);
  pinned_register(*pointer, bytes);
  return cudaSuccess;
}

cudaError_t cudaHostAlloc(void** pointer, size_t bytes, unsigned flags) {
  return cudaMallocHost(pointer, bytes, flags);
}

cudaError_t cudaFreeHost(void* pointer) {
  if (!pointer) return cudaSuccess;
  const Lock lock(mutex());
  if (const cudaError_t error = refuse_while_capturing()) return remember(error);
  drain_all();
  if (!pinned_forget(pointer)) return remember(cudaErrorInvalidValue);
  free(pointer);
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  const Lock lock(mutex());
  if (sticky_error() != cudaSuccess || fails_now(Fault::kCall)) return remember(sticky_error());
  const size_t used = device_bytes_used(current_device());
  *total = config().memory_limit;
  *free = used < *total ? *total - used : 0;
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* out, const void* inp, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  if (bytes == 0) return cudaSuccess;
  const Lock lock(mutex());
  if (kind == cudaMemcpyDefault) kind = infer_kind(out, inp, bytes);
  if (const cudaError_t error = check_copy(out, inp, bytes, kind)) return remember(error);
  const bool recording = stream && stream->capture;
  if (!recording && kind == cudaMemcpyHostToDevice && !is_pinned_range(inp, bytes)) {
    // Pageable memory is read before the call returns: the caller may change it at once.
    const auto* first = static_cast<const char*>(inp);
    return enqueue(stream, [=, staged = std::vector<char>(first, first + bytes)] { copy(out, staged.data(), bytes); });
  }
  const cudaError_t error = enqueue(stream, [=] { copy(out, inp, bytes); }, {"memcpy"});
  // Pageable memory is written before the call returns.
  if (error == cudaSuccess && !recording && stream && kind == cudaMemcpyDeviceToHost && !is_pinned_range(out, bytes)) {
    drain(stream);
  }
  return error;
}

cudaError_t cudaMemcpy(void* out, const void* inp, size_t bytes, cudaMemcpyKind kind) {
  const cudaError_t error = cudaMemcpyAsync(out, inp, bytes, kind, nullptr);
  return error != cudaSuccess ? error : sticky_error();
}

cudaError_t cudaMemsetAsync(void* out, int value, size_t bytes, cudaStream_t stream) {
  if (bytes == 0) return cudaSuccess;
  const Lock lock(mutex());
  if (!is_device_range(out, bytes)) return remember(cudaErrorInvalidValue);
  return enqueue(stream,
                 [=] {
                   if (!device_works()) return;
                   memset(out, value, bytes);
                   race_host_wrote(out, bytes);
                 },
                 {"memset"});
}

cudaError_t cudaMemset(void* out, int value, size_t bytes) {
  const cudaError_t error = cudaMemsetAsync(out, value, bytes, nullptr);
  return error != cudaSuccess ? error : sticky_error();
}

cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value) {
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaSuccess;
  if (value < 0 || static_cast<size_t>(value) > config().shared_memory_per_block)
    return remember(cudaErrorInvalidValue);
  set_shared_memory_limit(function, static_cast<size_t>(value));
  if (const auto hook = config().after_attribute) hook();
  return cudaSuccess;
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* function) {
  *attributes = {};
  attributes->maxThreadsPerBlock = 1024;
  attributes->ptxVersion = attributes->binaryVersion = capability();
  attributes->maxDynamicSharedSizeBytes = static_cast<int>(shared_memory_limit(function));
  return cudaSuccess;
}

}  // namespace simt_cudart
