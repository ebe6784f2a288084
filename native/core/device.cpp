#include "core/device.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <mutex>

#include "core/device_library.h"
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

std::string text_of_version(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

DeviceInfo describe(const std::string& device) {
  DeviceInfo info{device, "", 0, false, "", {}, ""};
  const DeviceLibrary& library = device_library(device);
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
  info.libraries += std::string(", ") + found.blas_version;
  info.available = true;
  info.precisions = {"fp32", "tf32", "bf16"};
  return info;
}

// A GPU is there for as long as the process is, so it is asked once.
const DeviceInfo& info_of(const std::string& device) {
  static std::mutex mutex;
  static std::map<std::string, DeviceInfo> known;
  const std::lock_guard<std::mutex> lock(mutex);
  const auto found = known.find(device);
  if (found != known.end()) return found->second;
  return known.emplace(device, describe(device)).first->second;
}

}  // namespace

std::vector<DeviceInfo> list_devices() {
  std::vector<DeviceInfo> devices = {
      {"cpu", processor_name(), machine_memory(), true, "", cpu_precisions(), product_library()}};
  for (const std::string& device : library_devices()) devices.push_back(info_of(device));
  return devices;
}

std::unique_ptr<Backend> make_backend(const std::string& device, const std::string& precision, int threads) {
  if (device == "cpu") {
    return make_cpu_backend(precision, threads);
  }
  const std::vector<std::string> devices = library_devices();
  if (std::find(devices.begin(), devices.end(), device) == devices.end()) {
    throw Error("INVALID_OPTION", "Expected device cpu or cuda but received " + device);
  }
  const DeviceInfo& info = info_of(device);
  if (!info.available) {
    throw Error("CUDA_UNAVAILABLE", "Expected a CUDA device but " + info.reason + "; use device 'cpu' or 'auto'");
  }
  return make_library_backend(*device_library(device).table, precision);
}

}  // namespace bertune
