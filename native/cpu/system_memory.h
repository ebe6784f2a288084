// The most memory that this process may use.
#pragma once

#include <cstdint>

namespace bertune {

// The machine's memory and swap, or what the process's control groups allow if that is less, in bytes; 0: not known.
uint64_t system_memory_limit();

}  // namespace bertune
