// Memory of the CPU "device", and conversions between the element types of files and T.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/backend.h"

namespace bertune {

// Zero-filled and aligned to 64 bytes. Throws OUT_OF_MEMORY, naming `what`. The caller owns it.
Memory* allocate_memory(size_t bytes, const char* what);

// out[i] = inp[i], from `count` elements of `dtype` at any alignment.
template <typename T>
void read_elements(const void* inp, Dtype dtype, int64_t count, T* out);

// out[i] = inp[i], to `count` elements of `dtype` at any alignment, rounded to nearest, ties to even.
template <typename T>
void write_elements(const T* inp, int64_t count, Dtype dtype, void* out);

}  // namespace bertune
