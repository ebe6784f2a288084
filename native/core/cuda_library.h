// Finds and opens the libraries that hold CUDA backends: the real one, and the same sources under the SIMT emulator.
#pragma once

#include <string>

#include "core/library.h"

namespace bertune {

enum class CudaProvider { kReal, kEmulated };

// A library that was looked for, once a process.
struct CudaLibrary {
  const LibraryTable* table = nullptr;  // null: there is none that can be used
  std::string reason;                   // why not
  bool there = false;                   // its file is
};

// Names the file to open where none lies beside the addon: that of the package of CUDA backends. Has an effect before
// the first cuda_library alone.
void set_cuda_library(const std::string& path);

// Looks beside the addon, then at the path that was set, never on the library search path, and never closes what it
// opened.
const CudaLibrary& cuda_library(CudaProvider provider);

}  // namespace bertune
