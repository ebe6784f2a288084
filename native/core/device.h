// The devices of this machine, and their backends. The only place that knows which backends exist.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/backend.h"

namespace bertune {

struct DeviceInfo {
  // "cpu", "cuda" or one whose library was added (device_library.h). Of several GPUs the first has that name, the second is
  // "cuda:1".
  std::string device;
  std::string name;
  uint64_t total_memory;  // bytes, 0 where not known
  bool available;
  std::string reason;  // why not, where not available
  std::vector<std::string> precisions;
  std::string libraries;  // versions of CUDA's, or of the CPU's that multiplies beside the BLAS
};

struct BlasInfo {
  std::string library;
  std::string version;
  std::string kernel;
};

std::vector<DeviceInfo> list_devices();
BlasInfo blas_info();

// `device`: as in DeviceInfo, or "cuda:0"; `precision`: "fp32", "tf32", "bf16", "int8" or "fp64"; `threads` counts on the CPU
// only. Throws CUDA_UNAVAILABLE where the device is not there and INVALID_OPTION where it does not have the precision.
std::unique_ptr<Backend> make_backend(const std::string& device, const std::string& precision, int threads);

}  // namespace bertune
