#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

#include "cpu/memory.h"

namespace bertune {

namespace {

// Advises the kernel on the whole pages in this memory. Returns their bytes; 0 if it refuses.
size_t advise(MemoryRange memory, int advice) {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto from = reinterpret_cast<uintptr_t>(memory.begin);
  const uintptr_t begin = (from + page - 1) / page * page, end = (from + memory.bytes) / page * page;
  if (begin < end && madvise(reinterpret_cast<void*>(begin), end - begin, advice) == 0) return end - begin;
  return 0;
}

}  // namespace

size_t release_pages(MemoryRange memory) { return advise(memory, MADV_DONTNEED); }

void prefer_large_pages(MemoryRange memory) { advise(memory, MADV_HUGEPAGE); }

void prefer_small_pages(MemoryRange memory) { advise(memory, MADV_NOHUGEPAGE); }

}  // namespace bertune
