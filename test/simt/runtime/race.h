// What the race build knows about memory: which bytes are allocated, and which are initialised. Nothing elsewhere.
#pragma once

#include <cstddef>

namespace simt {

#if defined(SIMT_RACE)
void race_memory_allocated(void* block, size_t bytes);
void race_memory_freed(void* block, size_t bytes);
void race_host_wrote(void* pointer, size_t bytes);
bool race_is_initialised(const void* pointer, size_t bytes);
#else
inline void race_memory_allocated(void*, size_t) {}
inline void race_memory_freed(void*, size_t) {}
inline void race_host_wrote(void*, size_t) {}
inline bool race_is_initialised(const void*, size_t) { return true; }
#endif

}  // namespace simt
