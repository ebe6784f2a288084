#include "cuda/memory.h"

#include <string>

#include "cuda/gpu.h"

namespace bertune::cuda {
namespace {

std::string mebibytes(size_t bytes) { return std::to_string((bytes + (1u << 20) - 1) >> 20) + " MiB"; }

class DeviceBlock final : public Memory {
 public:
  DeviceBlock(size_t bytes, const char* what) : data_(allocate_bytes(bytes, what, true)), bytes_(bytes) {}
  ~DeviceBlock() override {
    static_cast<void>(use_gpu(gpu_));
    cudaFree(data_);
  }
  void* data() const override { return data_; }
  size_t bytes() const override { return bytes_; }

 private:
  const int gpu_ = current_gpu();
  void* data_;
  size_t bytes_;
};

}  // namespace

void* allocate_bytes(size_t bytes, const char* what, bool zero) {
  if (bytes == 0) return nullptr;
  void* block = nullptr;
  const cudaError_t status = cudaMalloc(&block, bytes);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    size_t free = 0, total = 0;
    cudaMemGetInfo(&free, &total);
    throw Error("OUT_OF_MEMORY", "Expected " + mebibytes(bytes) + " of device memory for " + what + " but " +
                                     mebibytes(free) + " of " + mebibytes(total) +
                                     " are free; make the batch size or the model smaller, or use device 'cpu'");
  }
  BERTUNE_CUDA(status);
  if (zero) {
    // Done before it returns: the backend's stream does not wait for the default one, where this runs.
    cudaError_t zeroed = cudaMemset(block, 0, bytes);
    if (zeroed == cudaSuccess) zeroed = cudaStreamSynchronize(nullptr);
    if (zeroed != cudaSuccess) cudaFree(block);
    BERTUNE_CUDA(zeroed);
  }
  return block;
}

Memory* allocate_memory(size_t bytes, const char* what) { return new DeviceBlock(bytes, what); }

}  // namespace bertune::cuda
