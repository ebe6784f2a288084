#include "core/device_library.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <map>
#include <mutex>

#include "core/library_file.h"

namespace bertune {
namespace {

// "" where it cannot be told.
std::string folder_of_this_library() {
  Dl_info info;
  if (!dladdr(reinterpret_cast<void*>(&folder_of_this_library), &info) || !info.dli_fname) return "";
  const std::string file = info.dli_fname;
  return file.substr(0, file.rfind('/') + 1);
}

// Environments of several threads may load the addon at once.
std::mutex mutex;
std::map<std::string, std::string> added;        // paths by device
std::map<std::string, DeviceLibrary> libraries;  // that were opened, by device

// The file of a device's library, opened to be read; below 0 where there is none.
int open_file(const std::string& device, std::string& path) {
  int file = -1;
  if (device == kCudaDevice) {
    path = folder_of_this_library() + "libbertune_cuda.so";
    file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  }
  const auto other = added.find(device);
  if (file < 0 && other != added.end()) {
    path = other->second;
    file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  }
  return file;
}

DeviceLibrary open_library(const std::string& device) {
  DeviceLibrary library;
  std::string path;
  const int file = open_file(device, path);
  if (file < 0) {
    library.reason =
        "this build has no CUDA backend (" + path +
        " is not there; `npm install @bertune/linux-x64-cuda` brings one, `npx bertune build --cuda` makes one)";
    return library;
  }
  const bool whole = is_whole_library(file);
  close(file);
  if (!whole) {
    library.reason = path + " is damaged or cut short";
    return library;
  }
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    const char* error = dlerror();
    library.reason = error ? error : path + " cannot be opened";
    return library;
  }
  const auto entry = reinterpret_cast<LibraryEntry>(dlsym(handle, kLibrarySymbol));
  const LibraryTable* table = entry ? entry() : nullptr;
  if (!table || table->version != kLibraryVersion || table->size != sizeof(LibraryTable) ||
      table->layout != library_layout()) {
    library.reason = path + " belongs to another version of this package";
    return library;
  }
  library.table = table;
  return library;
}

}  // namespace

void add_device_library(const std::string& device, const std::string& path) {
  const std::lock_guard<std::mutex> lock(mutex);
  added[device] = path;
}

std::vector<std::string> library_devices() {
  const std::lock_guard<std::mutex> lock(mutex);
  std::vector<std::string> devices = {kCudaDevice};
  for (const auto& [device, path] : added) {
    if (device != kCudaDevice) devices.push_back(device);
  }
  return devices;
}

const DeviceLibrary& device_library(const std::string& device) {
  const std::lock_guard<std::mutex> lock(mutex);
  const auto found = libraries.find(device);
  if (found != libraries.end()) return found->second;
  return libraries.emplace(device, open_library(device)).first->second;
}

}  // namespace bertune
