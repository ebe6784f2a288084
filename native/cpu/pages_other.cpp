#include "cpu/memory.h"

namespace bertune {

size_t release_pages(MemoryRange) { return 0; }

void prefer_large_pages(MemoryRange) {}

void prefer_small_pages(MemoryRange) {}

}  // namespace bertune
