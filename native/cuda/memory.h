// Device memory: allocation with an error that says what was wanted, what was free and what it was for.
#pragma once

#include "core/backend.h"
#include "cuda/context.h"

namespace bertune::cuda {

// Throws OUT_OF_MEMORY, naming `what`. cudaFree frees it.
void* allocate_bytes(size_t bytes, const char* what, bool zero);

// Zero-filled.
Memory* allocate_memory(size_t bytes, const char* what);

}  // namespace bertune::cuda
