// The dynamic shared memory that kernels may be launched with.
#pragma once

#include <unordered_set>

#include "cuda/gpu.h"

namespace bertune::cuda {

// A kernel's limit belongs to the CUDA context, which the threads of all sessions share. So it is raised to the maximum
// and never lowered: no session takes away what another is about to launch with.
class SharedMemoryLimits {
 public:
  // Lets launches of the kernel use `bytes`. Throws CUDA_ERROR if the device does not have that much.
  void allow(const void* kernel, size_t bytes) {
    if (bytes <= kAlwaysAllowed || raised_.count(kernel) > 0) return;
    int most = 0;
    cudaFuncAttributes attributes;
    BERTUNE_CUDA(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, current_gpu()));
    BERTUNE_CUDA(cudaFuncGetAttributes(&attributes, kernel));
    BERTUNE_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                      most - static_cast<int>(attributes.sharedSizeBytes)));
    raised_.insert(kernel);
  }

 private:
  static constexpr size_t kAlwaysAllowed = 48 * 1024;

  std::unordered_set<const void*> raised_;
};

}  // namespace bertune::cuda
