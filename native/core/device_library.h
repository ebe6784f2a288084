// Finds and opens the libraries with the backends of devices: CUDA's, and those that were added.
#pragma once

#include <string>
#include <vector>

#include "core/library.h"

namespace bertune {

constexpr const char* kCudaDevice = "cuda";

// A library that was looked for, once per process.
struct DeviceLibrary {
  const LibraryTable* table = nullptr;  // null: no usable library
  std::string reason;                   // why not
};

// Names the file with a device's backend. For "cuda" it is opened only if there is none beside the addon. Has no effect
// once the device has been asked for.
void add_device_library(const std::string& device, const std::string& path);

// "cuda", and every device that was added.
std::vector<std::string> library_devices();

// Opens the library of one of library_devices(), never from the library search path; it is never closed again.
const DeviceLibrary& device_library(const std::string& device);

}  // namespace bertune
