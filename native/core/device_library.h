// Finds and opens the libraries that hold the backends of devices: that of CUDA, and those that were added.
#pragma once

#include <string>
#include <vector>

#include "core/library.h"

namespace bertune {

constexpr const char* kCudaDevice = "cuda";

// A library that was looked for, once a process.
struct DeviceLibrary {
  const LibraryTable* table = nullptr;  // null: there is none that can be used
  std::string reason;                   // why not
};

// Names the file that holds a device's backend. That of "cuda" is opened where none lies beside the addon. Has an
// effect before the device is first asked for alone.
void add_device_library(const std::string& device, const std::string& path);

// "cuda", and every device that was added.
std::vector<std::string> library_devices();

// Opens the library of one of library_devices(): never from the library search path, and never closed again.
const DeviceLibrary& device_library(const std::string& device);

}  // namespace bertune
