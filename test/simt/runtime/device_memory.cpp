#include "device_memory.h"

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <map>
#include <set>

#include "race.h"
#include "state.h"

namespace simt {
namespace {

constexpr size_t kAlignment = 256;                 // of what cudaMalloc returns
constexpr size_t kGuard = 256;                     // between blocks, never valid
constexpr size_t kPoisonWhole = size_t(16) << 20;  // larger blocks are poisoned at their ends only
constexpr size_t kPoisonEnd = size_t(64) << 10;
constexpr size_t kReleaseFrom = size_t(1) << 20;  // pages of freed blocks this large go back to the system
constexpr unsigned char kPoison = 0xff;           // NaN as fp32, bf16 and fp16

// Ranges by their first byte.
class RangeMap {
 public:
  void add(const void* pointer, size_t bytes) { ranges_[reinterpret_cast<uintptr_t>(pointer)] = bytes; }
  // The bytes of the range that starts at `pointer`, which is forgotten; 0 where there is none.
  size_t remove(const void* pointer) {
    const auto found = ranges_.find(reinterpret_cast<uintptr_t>(pointer));
    if (found == ranges_.end()) return 0;
    const size_t bytes = found->second;
    ranges_.erase(found);
    return bytes;
  }
  bool contains(const void* pointer, size_t bytes) const {
    const auto first = reinterpret_cast<uintptr_t>(pointer);
    auto after = ranges_.upper_bound(first);
    if (after == ranges_.begin()) return false;
    const auto& [start, size] = *std::prev(after);
    return first + bytes <= start + size;
  }

 private:
  std::map<uintptr_t, size_t> ranges_;
};

// Free pieces of the arena, by address (to merge neighbors) and by size (to find the smallest that is large enough).
class FreeList {
 public:
  FreeList(uintptr_t start, size_t bytes) { insert(start, bytes); }

  uintptr_t take(size_t bytes) {
    const auto best = by_size_.lower_bound({bytes, 0});
    if (best == by_size_.end()) return 0;
    const auto [have, start] = *best;
    erase(start, have);
    if (have > bytes) insert(start + bytes, have - bytes);
    return start;
  }

  void give_back(uintptr_t start, size_t bytes) {
    auto after = by_address_.lower_bound(start);
    if (after != by_address_.end() && after->first == start + bytes) {
      const auto [next, next_bytes] = *after;
      erase(next, next_bytes);
      bytes += next_bytes;
    }
    after = by_address_.lower_bound(start);
    if (after != by_address_.begin()) {
      const auto [previous, previous_bytes] = *std::prev(after);
      if (previous + previous_bytes == start) {
        erase(previous, previous_bytes);
        start = previous;
        bytes += previous_bytes;
      }
    }
    insert(start, bytes);
  }

 private:
  void insert(uintptr_t start, size_t bytes) {
    by_address_[start] = bytes;
    by_size_.insert({bytes, start});
  }
  void erase(uintptr_t start, size_t bytes) {
    by_address_.erase(start);
    by_size_.erase({bytes, start});
  }

  std::map<uintptr_t, size_t> by_address_;
  std::set<std::pair<size_t, uintptr_t>> by_size_;
};

struct DeviceMemory {
  RangeMap blocks;
  RangeMap pinned;
  std::map<const void*, int> devices;  // of the blocks
  std::map<int, size_t> used;          // by device
  FreeList free{reinterpret_cast<uintptr_t>(arena()) + kSharedBytes, kArenaBytes - kSharedBytes};
};

DeviceMemory& memory() {
  static DeviceMemory& memory = *new DeviceMemory;
  return memory;
}

#if defined(__SANITIZE_ADDRESS__)
// Of the exact size: the red zone starts at the byte after the last one.
void* take_block(size_t bytes) {
  void* block = nullptr;
  return posix_memalign(&block, kAlignment, bytes) == 0 ? block : nullptr;
}
void release_block(void* block, size_t) { free(block); }
#else
size_t padded(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment + kGuard; }

void* take_block(size_t bytes) {
  void* block = reinterpret_cast<void*>(memory().free.take(padded(bytes)));
  if (block) race_memory_allocated(block, bytes);
  return block;
}
void release_block(void* block, size_t bytes) {
  race_memory_freed(block, bytes);
  if (bytes >= kReleaseFrom) {
    const size_t page = 4096;
    const uintptr_t first = (reinterpret_cast<uintptr_t>(block) + page - 1) / page * page;
    const uintptr_t end = (reinterpret_cast<uintptr_t>(block) + bytes) / page * page;
    madvise(reinterpret_cast<void*>(first), end - first, MADV_DONTNEED);
  }
  memory().free.give_back(reinterpret_cast<uintptr_t>(block), padded(bytes));
}
#endif

void poison(void* block, size_t bytes) {
  if (bytes <= kPoisonWhole) {
    memset(block, kPoison, bytes);
    return;
  }
  memset(block, kPoison, kPoisonEnd);
  memset(static_cast<char*>(block) + bytes - kPoisonEnd, kPoison, kPoisonEnd);
}

}  // namespace

void* reserve_pages(size_t bytes) {
  void* pages = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (pages == MAP_FAILED) {
    perror("simt: mmap");
    abort();
  }
  return pages;
}

char* arena() {
  static char* arena = static_cast<char*>(reserve_pages(kArenaBytes));
  return arena;
}

cudaError_t device_allocate(void** pointer, size_t bytes) {
  *pointer = nullptr;
  Config& settings = config();
  if (settings.fail_allocation >= 0 && settings.fail_allocation-- == 0) return cudaErrorMemoryAllocation;
  if (bytes > settings.memory_limit || memory().used[current_device()] > settings.memory_limit - bytes)
    return cudaErrorMemoryAllocation;
  if (bytes == 0) return cudaSuccess;
  void* block = take_block(bytes);
  if (!block) return cudaErrorMemoryAllocation;
  poison(block, bytes);
  memory().used[current_device()] += bytes;
  memory().devices[block] = current_device();
  memory().blocks.add(block, bytes);
  *pointer = block;
  return cudaSuccess;
}

cudaError_t device_free(void* pointer) {
  const size_t bytes = memory().blocks.remove(pointer);
  if (bytes == 0) return cudaErrorInvalidValue;
  memory().used[memory().devices[pointer]] -= bytes;
  memory().devices.erase(pointer);
  release_block(pointer, bytes);
  return cudaSuccess;
}

size_t device_bytes_used(int device) { return memory().used[device]; }
bool is_device_range(const void* pointer, size_t bytes) { return memory().blocks.contains(pointer, bytes); }

void pinned_register(void* pointer, size_t bytes) { memory().pinned.add(pointer, bytes); }
bool pinned_forget(void* pointer) { return memory().pinned.remove(pointer) != 0; }
bool is_pinned_range(const void* pointer, size_t bytes) { return memory().pinned.contains(pointer, bytes); }

}  // namespace simt
