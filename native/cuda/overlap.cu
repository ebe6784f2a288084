#include "cuda/check.h"
#include "cuda/environment.h"
#include "cuda/overlap.h"
#include "cuda/simt.h"

namespace bertune::cuda {
namespace {

constexpr int kFirstVersion = 90;  // that has griddepcontrol

// Never launched: it is compiled for what all kernels are compiled for.
__global__ void any_kernel() { simt::wait_for_previous(); }

}  // namespace

// The GPU's own capability says too little: it also runs kernels that were compiled for an older one, and do not wait.
bool launches_may_overlap() {
  if (overlap_is_off()) return false;
  cudaFuncAttributes attributes;
  BERTUNE_CUDA(cudaFuncGetAttributes(&attributes, reinterpret_cast<const void*>(&any_kernel)));
  return attributes.ptxVersion >= kFirstVersion;
}

}  // namespace bertune::cuda
