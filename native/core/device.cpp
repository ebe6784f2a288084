#include "core/device.h"

#include <unistd.h>

#include <algorithm>
#include <compare>
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

// A device of a library, by its number there.
struct Place {
  std::string library;
  int ordinal;

  std::string name() const { return ordinal == 0 ? library : library + ":" + std::to_string(ordinal); }
  auto operator<=>(const Place&) const = default;
};

// "cuda:1" is the second device of the library "cuda".
Place place_of(const std::string& device) {
  const size_t colon = device.find(':');
  if (colon == std::string::npos) return {device, 0};
  const std::string digits = device.substr(colon + 1);
  const bool is_number =
      !digits.empty() && digits.size() <= 4 && digits.find_first_not_of("0123456789") == std::string::npos;
  if (!is_number) throw Error("INVALID_OPTION", "Expected the number of a GPU behind the colon but received " + device);
  return {device.substr(0, colon), std::stoi(digits)};
}

struct Described {
  DeviceInfo info;
  int count;  // of its library's devices
};

Described describe(const Place& place) {
  DeviceInfo info{place.name(), "", 0, false, "", {}, ""};
  const DeviceLibrary& library = device_library(place.library);
  info.reason = library.reason;
  if (!library.table) return {info, 0};
  LibraryDevice found{};
  LibraryFailure failure{};
  library.table->describe(place.ordinal, &found, &failure);
  info.name = found.name;
  info.total_memory = found.total_memory;
  info.reason = failure.message;
  if (failure.code[0] != '\0') return {info, found.count};
  info.libraries =
      "CUDA " + text_of_version(found.runtime_version) + " (driver " + text_of_version(found.driver_version) + ")";
  if (found.blas_version[0] == '\0') {
    info.reason = found.blas_missing;
    return {info, found.count};
  }
  info.libraries += std::string(", ") + found.blas_version;
  info.available = true;
  info.precisions = {"fp32", "tf32", "bf16"};
  return {info, found.count};
}

// A GPU is there for as long as the process is, so it is asked once.
const Described& described(const Place& place) {
  static std::mutex mutex;
  static std::map<Place, Described> known;
  const std::lock_guard<std::mutex> lock(mutex);
  const auto found = known.find(place);
  if (found != known.end()) return found->second;
  return known.emplace(place, describe(place)).first->second;
}

}  // namespace

std::vector<DeviceInfo> list_devices() {
  std::vector<DeviceInfo> devices = {
      {"cpu", processor_name(), machine_memory(), true, "", cpu_precisions(), product_library()}};
  for (const std::string& library : library_devices()) {
    const Described& first = described({library, 0});
    devices.push_back(first.info);
    for (int ordinal = 1; ordinal < first.count; ++ordinal) devices.push_back(described({library, ordinal}).info);
  }
  return devices;
}

std::unique_ptr<Backend> make_backend(const std::string& device, const std::string& precision, int threads) {
  if (device == "cpu") {
    return make_cpu_backend(precision, threads);
  }
  const Place place = place_of(device);
  const std::vector<std::string> libraries = library_devices();
  if (std::find(libraries.begin(), libraries.end(), place.library) == libraries.end()) {
    throw Error("INVALID_OPTION", "Expected device cpu or cuda but received " + device);
  }
  const DeviceInfo& info = described(place).info;
  if (!info.available) {
    throw Error("CUDA_UNAVAILABLE", "Expected a CUDA device but " + info.reason + "; use device 'cpu' or 'auto'");
  }
  return make_library_backend(*device_library(place.library).table, place.ordinal, precision);
}

}  // namespace bertune
