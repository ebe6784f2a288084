// Memory of the CPU "device".
#pragma once

#include <cstddef>

#include "core/backend.h"
#include "core/elements.h"
#include "core/memory_range.h"

namespace bertune {

// Zero-filled and aligned to 64 bytes. Throws OUT_OF_MEMORY, naming `what`. The caller owns it.
Memory* allocate_memory(size_t bytes, const char* what);

// Gives the whole pages in this memory back to the system, which provides zeros when they are next touched. Returns
// their bytes; 0 if the system has no such call.
size_t release_pages(MemoryRange memory);

// Whether the system may back this memory by large pages (2 MiB on x86), of which a sweep misses few in the TLB, and whose
// first touch takes one fault instead of 512. Memory of which little is ever touched stays small in small ones. Both are
// hints, and do nothing where the system has no such call.
void prefer_large_pages(MemoryRange memory);
void prefer_small_pages(MemoryRange memory);

}  // namespace bertune
