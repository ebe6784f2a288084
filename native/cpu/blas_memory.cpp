#include "cpu/blas_memory.h"

#if defined(BERTUNE_HAS_OPENBLAS)
#include <mutex>
#include <string>
#include <vector>

#include "core/error.h"
#include "cpu/address_space.h"

// OpenBLAS's own, in no header of it. A library that does not show them is left to map its buffers itself.
extern "C" {
__attribute__((weak)) void* blas_memory_alloc(int);
__attribute__((weak)) void blas_memory_free(void*);
}

namespace bertune {
namespace {

// OpenBLAS's BUFFER_SIZE on x86-64 and ARM.
constexpr size_t kBufferBytes = size_t{128} << 20;

// Of all sessions of the process.
std::mutex mutex;
int threads_in_use = 0;
int buffers_mapped = 0;

// Takes buffers until there are `count`, then gives all of them back to OpenBLAS, which keeps them mapped.
void map_buffers(int count) {
  struct Taken {
    std::vector<void*> buffers;
    ~Taken() {
      for (void* buffer : buffers) blas_memory_free(buffer);
    }
  } taken;
  taken.buffers.reserve(count);
  for (int i = 0; i < count; ++i) {
    void* buffer = has_address_space(kBufferBytes) ? blas_memory_alloc(0) : nullptr;
    if (buffer == nullptr) {
      throw Error("OUT_OF_MEMORY", "Not enough address space for the matrix products of " + std::to_string(count) +
                                       " threads, which take 128 MiB each; use fewer threads or raise `ulimit -v`");
    }
    taken.buffers.push_back(buffer);
  }
}

}  // namespace

BlasMemory::BlasMemory(int threads) : threads_(threads) {
  const std::lock_guard<std::mutex> lock(mutex);
  const int needed = threads_in_use + threads;
  const bool can_map = blas_memory_alloc != nullptr && blas_memory_free != nullptr;
  if (can_map && needed > buffers_mapped && address_space_is_limited()) {
    map_buffers(needed);
    buffers_mapped = needed;
  }
  threads_in_use = needed;
}

BlasMemory::~BlasMemory() {
  const std::lock_guard<std::mutex> lock(mutex);
  threads_in_use -= threads_;
}

}  // namespace bertune
#else
namespace bertune {

BlasMemory::BlasMemory(int threads) : threads_(threads) {}
BlasMemory::~BlasMemory() { static_cast<void>(threads_); }

}  // namespace bertune
#endif
