// Shared memory of the blocks that run: each has a slot of the arena, in which its arrays lie apart from each other.
#pragma once

#include "block.h"

namespace simt {

void clear_shared_memory(Block& block);
bool is_shared_range(const Block& block, const void* pointer, size_t bytes);

}  // namespace simt
