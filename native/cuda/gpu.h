// Which GPU calls of the CUDA runtime go to. Each thread has its own choice, which starts as the first GPU.
#pragma once

#include "cuda/check.h"

namespace bertune::cuda {

// Sends the calling thread's calls to the GPU with this number.
inline cudaError_t use_gpu(int ordinal) {
  thread_local int used = 0;
  if (used == ordinal) return cudaSuccess;
  const cudaError_t status = cudaSetDevice(ordinal);
  if (status == cudaSuccess) used = ordinal;
  return status;
}

// The GPU that the calling thread uses.
inline int current_gpu() {
  int ordinal = 0;
  BERTUNE_CUDA(cudaGetDevice(&ordinal));
  return ordinal;
}

}  // namespace bertune::cuda
