#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

#include "cpu/memory.h"

namespace bertune {

size_t release_pages(MemoryRange memory) {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto from = reinterpret_cast<uintptr_t>(memory.begin);
  const uintptr_t begin = (from + page - 1) / page * page, end = (from + memory.bytes) / page * page;
  if (begin < end && madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED) == 0) return end - begin;
  return 0;
}

}  // namespace bertune
