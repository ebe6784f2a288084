// The devices of this machine, and their backends. The only place that knows which backends exist.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/backend.h"

namespace bertune {

struct DeviceInfo {
  // "cpu", "cuda" or a device whose library was added (device_library.h). With several GPUs, the first is "cuda", the
  // second "cuda:1".
  std::string device;
  std::string name;
  uint64_t total_memory;  // bytes; 0 if not known
  bool available;
  std::string reason;  // why it is not available
  std::vector<std::string> precisions;
  std::string libraries;  // the versions of CUDA's libraries, or on the CPU of the one that multiplies beside the BLAS
};

struct BlasInfo {
  std::string library;
  std::string version;
  std::string kernel;
};

std::vector<DeviceInfo> list_devices();
BlasInfo blas_info();

// `device`: as in DeviceInfo, or "cuda:0"; `precision`: "fp32", "tf32", "bf16", "int8" or "fp64"; `threads` matters on the
// CPU only. Throws CUDA_UNAVAILABLE if the device does not exist and INVALID_OPTION if it lacks the precision.
std::unique_ptr<Backend> make_backend(const std::string& device, const std::string& precision, int threads);

}  // namespace bertune
