// Turns failures of the CUDA runtime into errors that say what was called, and where.
#pragma once

#include <string>

#include "core/error.h"
#include "cuda/cuda_api.h"

namespace bertune::cuda {

[[noreturn]] inline void throw_cuda_error(cudaError_t status, const char* expression, const char* file, int line) {
  cudaGetLastError();  // so that an error that is not sticky does not reach the next call
  throw Error("CUDA_ERROR", std::string(cudaGetErrorName(status)) + " (" + cudaGetErrorString(status) + ") from " +
                                expression + " at " + file + ":" + std::to_string(line));
}

}  // namespace bertune::cuda

#define BERTUNE_CUDA(expression)                                                          \
  do {                                                                                    \
    const cudaError_t bertune_status = (expression);                                      \
    if (bertune_status != cudaSuccess) {                                                  \
      ::bertune::cuda::throw_cuda_error(bertune_status, #expression, __FILE__, __LINE__); \
    }                                                                                     \
  } while (false)
