// The race build's detector: it sees every access of a kernel to memory (tsan_hooks.cpp) and reports data races, reads
// of uninitialised memory, and accesses out of bounds or to what is no device memory. Does nothing in the other builds.
#pragma once

#include <cstddef>

#include "block.h"

namespace simt {

enum class AccessKind { kRead, kWrite, kAtomic, kAsyncWrite };

#if defined(SIMT_RACE)

void race_memory_allocated(void* block, size_t bytes);
void race_memory_freed(void* block, size_t bytes);
void race_shared_allocated(void* memory, size_t bytes);
void race_shared_freed(void* memory, size_t bytes);
void race_host_wrote(void* pointer, size_t bytes);
bool race_is_initialised(const void* pointer, size_t bytes);

void race_launch_started(const Launch& launch);
void race_launch_ended();
void race_kernel_runs(bool runs);  // otherwise it is the emulator that touches memory
void race_block_started(Block& block);
void race_barrier_completed(Block& block);
void race_warp_synced(Warp& warp, unsigned lanes);
void race_async_landed(const Fiber& fiber, void* out, size_t bytes);
void race_fence(Fiber& fiber);
void race_atomic(Fiber& fiber, const volatile void* pointer, size_t bytes, const void* code);
// An access that the emulator makes for a kernel.
void race_access(Fiber& fiber, const void* pointer, size_t bytes, AccessKind kind, const CallSite& site);
// An access in the kernel's own code.
void race_kernel_access(const void* pointer, size_t bytes, AccessKind kind, const void* code, size_t alignment);

#else

inline void race_memory_allocated(void*, size_t) {}
inline void race_memory_freed(void*, size_t) {}
inline void race_shared_allocated(void*, size_t) {}
inline void race_shared_freed(void*, size_t) {}
inline void race_host_wrote(void*, size_t) {}
inline bool race_is_initialised(const void*, size_t) { return true; }
inline void race_launch_started(const Launch&) {}
inline void race_launch_ended() {}
inline void race_kernel_runs(bool) {}
inline void race_block_started(Block&) {}
inline void race_barrier_completed(Block&) {}
inline void race_warp_synced(Warp&, unsigned) {}
inline void race_async_landed(const Fiber&, void*, size_t) {}
inline void race_fence(Fiber&) {}
inline void race_atomic(Fiber&, const volatile void*, size_t, const void*) {}
inline void race_access(Fiber&, const void*, size_t, AccessKind, const CallSite&) {}

#endif

}  // namespace simt
