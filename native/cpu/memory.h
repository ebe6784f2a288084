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

}  // namespace bertune
