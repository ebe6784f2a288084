#include "shared_memory.h"

#include <cstring>
#include <map>
#include <utility>

#include "device_memory.h"
#include "race.h"
#include "report.h"
#include "scheduler.h"
#include "state.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace simt {
namespace {

constexpr size_t kSharedAlignment = 128;
constexpr size_t kSharedGuard = 64;            // after each array, never valid
constexpr unsigned char kSharedPoison = 0xff;  // NaN as fp32, bf16 and fp16

size_t round_up(size_t bytes, size_t to) { return (bytes + to - 1) / to * to; }

char* slot(const Block& block) { return arena() + static_cast<size_t>(block.slot) * kSharedSlotBytes; }

#if defined(__SANITIZE_ADDRESS__)
void forbid(char* memory, size_t bytes) { __asan_poison_memory_region(memory, bytes); }
void allow(char* memory, size_t bytes) { __asan_unpoison_memory_region(memory, bytes); }
#else
void forbid(char* memory, size_t bytes) { race_shared_freed(memory, bytes); }
void allow(char* memory, size_t bytes) { race_shared_allocated(memory, bytes); }
#endif

char* allocate(Block& block, size_t bytes) {
  const size_t start = round_up(block.used, kSharedAlignment);
  const size_t end = start + round_up(bytes, 16) + kSharedGuard;
  if (end > kSharedSlotBytes) device_fail("the emulator has no room for this much shared memory");
  char* data = slot(block) + start;
  block.used = end;
  allow(data, bytes);
  memset(data, kSharedPoison, bytes);
  return data;
}

// By device and kernel.
std::map<std::pair<int, const void*>, size_t>& limits() {
  static auto& limits = *new std::map<std::pair<int, const void*>, size_t>;
  return limits;
}

}  // namespace

size_t shared_memory_limit(const void* kernel) {
  const Lock lock(mutex());
  const auto found = limits().find({current_device(), kernel});
  return found == limits().end() ? kSharedWithoutAsking : found->second;
}

void set_shared_memory_limit(const void* kernel, size_t bytes) {
  const Lock lock(mutex());
  limits()[{current_device(), kernel}] = bytes;
}

void clear_shared_memory(Block& block) {
  forbid(slot(block), block.used > 0 ? block.used : kSharedSlotBytes);
  block.used = block.static_bytes = block.dynamic_bytes = 0;
  block.static_arrays.clear();
  block.dynamic_arrays.clear();
}

bool is_shared_range(const Block& block, const void* pointer, size_t bytes) {
  const auto offset = static_cast<size_t>(static_cast<const char*>(pointer) - slot(block));
  return offset <= kSharedSlotBytes && bytes <= kSharedSlotBytes - offset;
}

void* shared_static(const void* key, size_t bytes, const char* name) {
  Block& block = *current_fiber->block;
  for (const SharedArray& array : block.static_arrays) {
    if (array.key == key) return array.data;
  }
  block.static_bytes += round_up(bytes, 16);
  if (block.static_bytes > kSharedWithoutAsking) {
    device_fail("static shared memory over 48 KB (%zu bytes with %s)", block.static_bytes, name);
  }
  if (block.static_bytes + current_launch->shared_bytes > current_launch->shared_limit) {
    device_fail("%zu bytes of static shared memory with %s and %zu of dynamic, over the limit of %zu",
                block.static_bytes, name, current_launch->shared_bytes, current_launch->shared_limit);
  }
  char* data = allocate(block, bytes);
  block.static_arrays.push_back({key, data, bytes});
  return data;
}

void* shared_dynamic(int ordinal, size_t bytes, const char* file, int line) {
  Block& block = *current_fiber->block;
  const auto index = static_cast<size_t>(ordinal);
  if (index < block.dynamic_arrays.size()) {
    const SharedArray& array = block.dynamic_arrays[index];
    if (array.bytes == bytes) return array.data;
    device_fail("threads disagree on the layout of dynamic shared memory (%s:%d)", base_name(file), line);
  }
  block.dynamic_bytes += round_up(bytes, 16);
  if (block.dynamic_bytes > current_launch->shared_bytes) {
    device_fail("takes %zu bytes of dynamic shared memory, the launch gave %zu (%s:%d)", block.dynamic_bytes,
                current_launch->shared_bytes, base_name(file), line);
  }
  char* data = allocate(block, bytes);
  block.dynamic_arrays.push_back({nullptr, data, bytes});
  return data;
}

}  // namespace simt
