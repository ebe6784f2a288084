// Allocates device memory; its error says how much was requested, how much was free and what it was for.
#pragma once

#include "core/backend.h"
#include "cuda/context.h"

namespace bertune::cuda {

// Throws OUT_OF_MEMORY, naming `what`. Free it with cudaFree.
void* allocate_bytes(size_t bytes, const char* what, bool zero);

// Zero-filled.
Memory* allocate_memory(size_t bytes, const char* what);

}  // namespace bertune::cuda
