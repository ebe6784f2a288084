#include "cpu/address_space.h"

#include <cstdint>

#if __has_include(<sys/mman.h>)
#include <sys/mman.h>
#include <sys/resource.h>
#endif

namespace bertune {

#if __has_include(<sys/mman.h>)
namespace {

// What is left to the rest of the process. Each thread's first malloc takes 64 MiB of it.
constexpr size_t kSpare = size_t{256} << 20;

}  // namespace

bool address_space_is_limited() {
  rlimit limit{};
  return getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
}

bool has_address_space(size_t bytes) {
  if (!address_space_is_limited()) return true;
  if (bytes > SIZE_MAX - kSpare) return false;
  void* trial = mmap(nullptr, bytes + kSpare, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (trial == MAP_FAILED) return false;
  munmap(trial, bytes + kSpare);
  return true;
}
#else
bool address_space_is_limited() { return false; }
bool has_address_space(size_t) { return true; }
#endif

}  // namespace bertune
