#include "core/device.h"

#include <unistd.h>

#include <fstream>

#include "core/error.h"
#include "cpu/cpu_backend.h"

namespace bertune {
namespace {

constexpr const char* kNoCuda = "this build has no CUDA backend";

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

}  // namespace

std::vector<DeviceInfo> list_devices() {
  return {
      {"cpu", processor_name(), machine_memory(), true, "", {"fp32", "fp64"}},
      {"cuda", "", 0, false, kNoCuda, {}},
  };
}

std::unique_ptr<Backend> make_backend(const std::string& device, const std::string& precision, int threads) {
  if (device == "cpu") {
    if (precision == "fp32") return make_cpu_backend_float(threads);
    if (precision == "fp64") return make_cpu_backend_double(threads);
    throw Error("INVALID_OPTION", "Expected precision fp32 or fp64 on the CPU but received " + precision);
  }
  throw Error("CUDA_UNAVAILABLE",
              "Expected a CUDA device but " + std::string(kNoCuda) + "; use device 'cpu' or 'auto'");
}

}  // namespace bertune
