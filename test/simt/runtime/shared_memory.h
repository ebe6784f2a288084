// Shared memory of the blocks that run: each has a slot of the arena, in which its arrays lie apart from each other.
#pragma once

#include "block.h"

namespace simt {

constexpr size_t kSharedWithoutAsking = 48 * 1024;  // of a block, unless its kernel's limit was raised

// How much shared memory a launch of the kernel may ask for: what was set last on the device, in the whole process.
size_t shared_memory_limit(const void* kernel);
void set_shared_memory_limit(const void* kernel, size_t bytes);

void clear_shared_memory(Block& block);
bool is_shared_range(const Block& block, const void* pointer, size_t bytes);

}  // namespace simt
