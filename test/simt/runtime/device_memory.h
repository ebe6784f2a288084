// Device memory: one reserved range of addresses, carved by a best-fit allocator; with AddressSanitizer blocks of its
// own, so that red zones and quarantine work.
#pragma once

#include <cstddef>

#include "simt_runtime.h"

namespace simt {

constexpr size_t kSharedSlotBytes = 512 * 1024;  // shared memory of one resident block, with room between arrays
constexpr int kSharedSlots = 8;
constexpr size_t kSharedBytes = kSharedSlotBytes * kSharedSlots;
constexpr size_t kArenaBytes = kSharedBytes + (size_t(6) << 30);  // of addresses; pages are used as they are touched

// The shared-memory slots, then device memory.
char* arena();
void* reserve_pages(size_t bytes);

cudaError_t device_allocate(void** pointer, size_t bytes);
cudaError_t device_free(void* pointer);
size_t device_bytes_used(int device);
bool is_device_range(const void* pointer, size_t bytes);  // inside one live allocation

void pinned_register(void* pointer, size_t bytes);
bool pinned_forget(void* pointer);
bool is_pinned_range(const void* pointer, size_t bytes);

}  // namespace simt
