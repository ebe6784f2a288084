#include "core/cuda_library.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <mutex>

namespace bertune {
namespace {

// "" where it cannot be told.
std::string folder_of_this_library() {
  Dl_info info;
  if (!dladdr(reinterpret_cast<void*>(&folder_of_this_library), &info) || !info.dli_fname) return "";
  const std::string file = info.dli_fname;
  return file.substr(0, file.rfind('/') + 1);
}

std::string file_name(CudaProvider provider) {
  if (provider == CudaProvider::kReal) return "libbertune_cuda.so";
  // The emulator's other builds find more and are slower: see test/simt.
  const char* build = std::getenv("BERTUNE_EMULATOR");
  const std::string suffix = build && *build && std::strcmp(build, "fast") != 0 ? std::string("_") + build : "";
  return "libbertune_cuda_emulated" + suffix + ".so";
}

// Opening a file that was cut short would end the process with SIGBUS, so its header is held against its length first.
bool is_whole(int file) {
  struct stat status;
  Elf64_Ehdr header;
  return fstat(file, &status) == 0 && read(file, &header, sizeof header) == static_cast<ssize_t>(sizeof header) &&
         std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 && header.e_ident[EI_CLASS] == ELFCLASS64 &&
         header.e_type == ET_DYN &&
         header.e_shoff + static_cast<uint64_t>(header.e_shnum) * header.e_shentsize <=
             static_cast<uint64_t>(status.st_size);
}

// Environments of several threads may load the addon at once.
std::mutex packaged_mutex;
std::string packaged_path;

std::string path_of_package() {
  const std::lock_guard<std::mutex> lock(packaged_mutex);
  return packaged_path;
}

CudaLibrary open_library(CudaProvider provider) {
  CudaLibrary library;
  std::string path = folder_of_this_library() + file_name(provider);
  int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const std::string packaged = path_of_package();
  if (file < 0 && provider == CudaProvider::kReal && !packaged.empty()) {
    path = packaged;
    file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  }
  if (file < 0) {
    library.reason =
        "this build has no CUDA backend (" + path +
        " is not there; `npm install @bertune/linux-x64-cuda` brings one, `npx bertune build --cuda` makes one)";
    return library;
  }
  library.there = true;
  const bool whole = is_whole(file);
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

void set_cuda_library(const std::string& path) {
  const std::lock_guard<std::mutex> lock(packaged_mutex);
  packaged_path = path;
}

const CudaLibrary& cuda_library(CudaProvider provider) {
  static const CudaLibrary real = open_library(CudaProvider::kReal);
  static const CudaLibrary emulated = open_library(CudaProvider::kEmulated);
  return provider == CudaProvider::kReal ? real : emulated;
}

}  // namespace bertune
