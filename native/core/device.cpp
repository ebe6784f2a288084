#include "core/device.h"

#include <unistd.h>

#include <fstream>

#include "core/cuda_library.h"
#include "core/error.h"
#include "core/library_backend.h"
#include "cpu/cpu_backend.h"

namespace bertune {
namespace {

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
  }
  return "CPU";
}

uint64_t machine_memory() {
  const long pages = sysconf(_SC_PHYS_PAGES);
  const long page_size = sysconf(_SC_PAGE_SIZE);
  return pages > 0 && page_size > 0 ? static_cast<uint64_t>(pages) * static_cast<uint64_t>(page_size) : 0;
}

constexpr const char* kCuda = "cuda";
constexpr const char* kEmulated = "cuda-emulated";

std::string text_of_version(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

// A GPU is there for as long as the process is, so it is asked once.
DeviceInfo describe_cuda(const char* device, CudaProvider provider) {
  DeviceInfo info{device, "", 0, false, "", {}, ""};
  const CudaLibrary& library = cuda_library(provider);
  info.reason = library.reason;
  if (!library.table) return info;
  LibraryDevice found{};
  LibraryFailure failure{};
  library.table->describe(&found, &failure);
  info.name = found.name;
  info.total_memory = found.total_memory;
  info.reason = failure.message;
  if (failure.code[0] != '\0') return info;
  info.libraries =
      "CUDA " + text_of_version(found.runtime_version) + " (driver " + text_of_version(found.driver_version) + ")";
  if (found.blas_version[0] == '\0') {
    info.reason = found.blas_missing;
    return info;
  }
  info.libraries += std::string(", cuBLASLt ") + found.blas_version;
  info.available = true;
  info.precisions = {"fp32", "tf32", "bf16"};
  return info;
}

const DeviceInfo& cuda_info() {
  static const DeviceInfo info = describe_cuda(kCuda, CudaProvider::kReal);
  return info;
}

// Only where its library was built, which is for tests.
const DeviceInfo& emulated_info() {
  static const DeviceInfo info = describe_cuda(kEmulated, CudaProvider::kEmulated);
  return info;
}

std::unique_ptr<Backend> make_cuda(const DeviceInfo& info, CudaProvider provider, const std::string& precision) {
  if (!info.available) {
    throw Error("CUDA_UNAVAILABLE", "Expected a CUDA device but " + info.reason + "; use device 'cpu' or 'auto'");
  }
  return make_library_backend(*cuda_library(provider).table, precision);
}

}  // namespace

std::vector<DeviceInfo> list_devices() {
  std::vector<DeviceInfo> devices = {
      {"cpu", processor_name(), machine_memory(), true, "", {"fp32", "fp64"}, ""},
      cuda_info(),
  };
  if (cuda_library(CudaProvider::kEmulated).there) devices.push_back(emulated_info());
  return devices;
}

std::unique_ptr<Backend> make_backend(const std::string& device, const std::string& precision, int threads) {
  if (device == "cpu") {
    if (precision == "fp32") return make_cpu_backend_float(threads);
    if (precision == "fp64") return make_cpu_backend_double(threads);
    throw Error("INVALID_OPTION", "Expected precision fp32 or fp64 on the CPU but received " + precision);
  }
  if (device == kCuda) return make_cuda(cuda_info(), CudaProvider::kReal, precision);
  if (device == kEmulated) return make_cuda(emulated_info(), CudaProvider::kEmulated, precision);
  throw Error("INVALID_OPTION", "Expected device cpu or cuda but received " + device);
}

}  // namespace bertune
