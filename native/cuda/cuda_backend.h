// The backend on an NVIDIA GPU, the one that the calling thread uses. Every operation is a kernel of this folder, on one stream.
#pragma once

#include <memory>

#include "core/backend.h"

namespace bertune::cuda {

enum class Precision { kFp32, kTf32, kBf16 };

// Throws CUDA_UNAVAILABLE if cuBLASLt is missing, CUDA_ERROR and OUT_OF_MEMORY.
std::unique_ptr<Backend> make_cuda_backend(Precision precision);

}  // namespace bertune::cuda
