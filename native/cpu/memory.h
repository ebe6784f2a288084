// Memory of the CPU "device".
#pragma once

#include <cstddef>

#include "core/backend.h"
#include "core/elements.h"

namespace bertune {

// Zero-filled and aligned to 64 bytes. Throws OUT_OF_MEMORY, naming `what`. The caller owns it.
Memory* allocate_memory(size_t bytes, const char* what);

}  // namespace bertune
