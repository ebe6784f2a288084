#include "race.h"

#if defined(SIMT_RACE)

#include <link.h>

#include <cstring>
#include <string>

#include "device_memory.h"
#include "report.h"
#include "scheduler.h"
#include "shadow.h"
#include "shared_memory.h"
#include "state.h"

namespace simt {
namespace {

bool kernel_runs = false;
uint32_t last_epoch = kHostEpoch;
uint32_t launch_epoch = kHostEpoch + 1;  // the first of the launch that runs
std::vector<uint64_t> epoch_block;       // the block of each epoch of the launch

// An atomic's address → the phases of blocks that had fenced before they used it.
std::unordered_map<uintptr_t, std::vector<Release>> releases;

// ---- places in the code, as 32 bits ----

uintptr_t code_base = 0;  // of the library that the kernel is in
constexpr uint32_t kIsSite = 0x80000000u;
std::vector<CallSite> sites;  // those that are known by file and line, not by address

uint32_t code_of(const void* address) {
  return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(address) - code_base);
}

uint32_t code_of(const CallSite& site) {
  for (size_t i = 0; i < sites.size(); ++i) {
    if (sites[i].line == site.line && !strcmp(sites[i].file, site.file)) return kIsSite | static_cast<uint32_t>(i);
  }
  sites.push_back(site);
  return kIsSite | static_cast<uint32_t>(sites.size() - 1);
}

std::string place(uint32_t code) {
  if (!(code & kIsSite)) return source_line(reinterpret_cast<const void*>(code_base + code - 1));
  const CallSite& site = sites[code & ~kIsSite];
  return std::string(base_name(site.file)) + ":" + std::to_string(site.line);
}

// ---- mapped files: constants of the program may be read ----

struct Segment {
  uintptr_t start, end;
};

template <typename Visit>
void for_segments(Visit visit) {
  const auto each = [](dl_phdr_info* info, size_t, void* data) {
    for (int i = 0; i < info->dlpi_phnum; ++i) {
      const auto& header = info->dlpi_phdr[i];
      const uintptr_t start = info->dlpi_addr + header.p_vaddr;
      if (header.p_type == PT_LOAD)
        (*static_cast<Visit*>(data))(Segment{start, start + header.p_memsz}, info->dlpi_addr);
    }
    return 0;
  };
  dl_iterate_phdr(each, &visit);
}

void find_code_base(const void* kernel) {
  const auto address = reinterpret_cast<uintptr_t>(kernel);
  for_segments([&](Segment segment, uintptr_t base) {
    if (address >= segment.start && address < segment.end) code_base = base;
  });
}

bool is_in_a_segment(uintptr_t address) {
  bool found = false;
  for_segments([&](Segment segment, uintptr_t) { found |= address >= segment.start && address < segment.end; });
  return found;
}

// ---- what is wrong ----

struct Reached {
  Fiber& fiber;
  size_t offset;  // in the arena
  size_t bytes;
  AccessKind kind;
  uint32_t code;

  bool writes() const { return kind != AccessKind::kRead; }
  bool reads() const { return kind == AccessKind::kRead || kind == AccessKind::kAtomic; }
  bool shared() const { return offset < kSharedBytes; }
  const char* verb() const { return writes() ? "writes" : "reads"; }
  const char* space() const { return shared() ? "shared" : "global"; }
};

[[noreturn]] [[gnu::noinline]] void fail(const Fiber& fiber, const std::string& text) {
  kernel_runs = false;
  fail_launch(describe_thread(*fiber.block, fiber.linear) + " " + text);
  leave_fiber();
}

std::string other_thread(const Reached& now, const Access& other) {
  if (now.shared() || other.epoch == now.fiber.block->race.epoch) {
    return describe_thread(*now.fiber.block, other.thread);
  }
  return "thread " + std::to_string(other.thread) + " of another block";
}

[[noreturn]] [[gnu::noinline]] void fail_pending(const Reached& now, const Access& copy) {
  kernel_runs = false;
  fail(now.fiber, std::string(now.verb()) + " shared memory at " + place(now.code) + " while a cp.async into it by " +
                      other_thread(now, copy) + " at " + place(copy.code) + " has not been waited for");
}

[[noreturn]] [[gnu::noinline]] void fail_race(const Reached& now, const Access& other, bool other_writes) {
  kernel_runs = false;
  const char* what = other.atomic ? "atomic" : other_writes ? "write" : "read";
  fail(now.fiber, std::string("RACE: ") + (now.writes() ? "write" : "read") + " of " + now.space() + " memory at " +
                      place(now.code) + " is unordered with the " + what + " by " + other_thread(now, other) + " at " +
                      place(other.code));
}

// ---- the order of accesses ----

bool is_acquired(const Block& block, const Access& other) {
  const uint64_t writer = epoch_block[other.epoch - launch_epoch];
  if (writer == block.serial) return true;
  const auto found = block.race.acquired.find(writer);
  if (found == block.race.acquired.end()) return false;
  const Release& release = found->second;
  return other.epoch < release.epoch || (other.epoch == release.epoch && other.thread == release.thread);
}

bool is_before(const Access& other, const Reached& now) {
  const Fiber& fiber = now.fiber;
  const Block& block = *fiber.block;
  if (other.epoch == block.race.epoch) {
    if (other.thread == fiber.linear) return true;
    const bool same_warp = other.thread / kLanes == fiber.linear / kLanes;
    return same_warp && fiber.race.clock[other.thread % kLanes] >= other.clock;
  }
  if (now.shared()) return true;                // an earlier phase of the block
  if (other.epoch < launch_epoch) return true;  // an earlier launch, or the host
  return is_acquired(block, other);
}

// Of shared memory: left behind by an earlier block in the same slot.
bool is_stale(const Access& access, const Reached& now) {
  return now.shared() && access.epoch < now.fiber.block->race.first_epoch;
}

bool conflicts(const Access& other, const Reached& now, uint8_t bytes) {
  return other.epoch && !is_stale(other, now) && (other.bytes & bytes) && !is_before(other, now);
}

void check_initialised(const Cell& cell, const Reached& now) {
  if (!now.reads() || (cell.write.epoch && !is_stale(cell.write, now))) return;
  kernel_runs = false;
  fail(now.fiber, std::string("reads uninitialised ") + now.space() + " memory at " + place(now.code));
}

void check_cell(const Cell& cell, const Reached& now, uint8_t bytes) {
  check_initialised(cell, now);
  const Access& write = cell.write;
  const bool touches_write = write.epoch && !is_stale(write, now) && (write.bytes & bytes);
  if (touches_write && write.pending) fail_pending(now, write);
  const bool both_atomic = write.atomic && now.kind == AccessKind::kAtomic;
  if (!both_atomic && conflicts(write, now, bytes)) fail_race(now, write, true);
  if (!now.writes()) return;
  if (conflicts(cell.read, now, bytes)) fail_race(now, cell.read, false);
  if (conflicts(cell.other_read, now, bytes)) fail_race(now, cell.other_read, false);
}

// Of the reads two are kept: the last, and one of another warp where there is any.
void note_read(Cell& cell, const Reached& now, const Access& access) {
  const auto warp = [](const Access& of) { return of.thread / kLanes; };
  if (!cell.read.epoch || is_before(cell.read, now)) {
    cell.read = access;
  } else if (!cell.other_read.epoch || is_before(cell.other_read, now) ||
             (warp(cell.other_read) == warp(cell.read) && warp(access) != warp(cell.read))) {
    cell.other_read = access;
  }
}

void note(Cell& cell, const Reached& now, uint8_t bytes) {
  const Fiber& fiber = now.fiber;
  Access access{};
  access.epoch = fiber.block->race.epoch;
  access.clock = fiber.race.clock[fiber.lane];
  access.code = now.code;
  access.thread = static_cast<uint16_t>(fiber.linear);
  access.bytes = bytes;
  access.atomic = now.kind == AccessKind::kAtomic;
  access.pending = now.kind == AccessKind::kAsyncWrite;
  if (!now.writes()) return note_read(cell, now, access);
  const bool same_writer = cell.write.epoch == access.epoch && cell.write.thread == access.thread;
  if (same_writer) access.bytes |= cell.write.bytes;
  cell.write = access;
  if (bytes == 3) cell.read = cell.other_read = Access{};
}

void check_cells(const Reached& now) {
  const size_t end = now.offset + now.bytes;
  for (size_t start = now.offset / kCellBytes * kCellBytes; start < end; start += kCellBytes) {
    uint8_t bytes = 3;
    if (start < now.offset) bytes &= 2;
    if (start + kCellBytes > end) bytes &= 1;
    Cell& cell = *shadow_cells(start);
    check_cell(cell, now, bytes);
    note(cell, now, bytes);
  }
}

// ---- one access ----

void check_outside_arena(Fiber& fiber, uintptr_t address, size_t bytes, bool writes, uint32_t code) {
  const auto arguments = reinterpret_cast<uintptr_t>(current_launch->arguments);
  if (!writes && address - arguments < current_launch->argument_bytes) return;
  if (!writes && is_in_a_segment(address)) return;
  kernel_runs = false;
  const std::string verb = writes ? "writes " : "reads ";
  if (is_on_a_stack(reinterpret_cast<const void*>(address))) {
    fail(fiber, verb + "a local variable of another thread at " + place(code));
  }
  fail(fiber, verb + std::to_string(bytes) + " bytes that are not device memory at " + place(code));
}

void check_order(const Reached& now) {
  if (now.shared() || has_waited(now.fiber)) return;
  kernel_runs = false;
  fail(now.fiber, std::string(now.verb()) + " global memory at " + place(now.code) + " before wait_for_previous()");
}

void check_place(const Reached& now, uintptr_t address, size_t alignment) {
  if (alignment > 1 && address % alignment) {
    kernel_runs = false;
    fail(now.fiber, "misaligned " + std::to_string(now.bytes) + "-byte access at " + place(now.code));
  }
  if (!shadow_is_valid(now.offset, now.bytes)) {
    kernel_runs = false;
    fail(now.fiber, "OUT OF BOUNDS: " + std::to_string(now.bytes) + "-byte " + (now.writes() ? "write" : "read") +
                        " of " + now.space() + " memory at " + place(now.code));
  }
  if (now.shared() && !is_shared_range(*now.fiber.block, reinterpret_cast<const void*>(address), now.bytes)) {
    kernel_runs = false;
    fail(now.fiber, "accesses shared memory of another block at " + place(now.code));
  }
}

void check(Fiber& fiber, const volatile void* pointer, size_t bytes, AccessKind kind, uint32_t code, size_t alignment) {
  const auto address = reinterpret_cast<uintptr_t>(pointer);
  if (address - reinterpret_cast<uintptr_t>(fiber.stack->bottom) < kStackBytes) return;  // its own locals
  const size_t offset = address - reinterpret_cast<uintptr_t>(arena());
  if (offset >= kArenaBytes) return check_outside_arena(fiber, address, bytes, kind != AccessKind::kRead, code);
  const Reached now{fiber, offset, bytes, kind, code};
  check_order(now);
  check_place(now, address, alignment);
  check_cells(now);
}

size_t arena_offset(const void* pointer) { return static_cast<size_t>(static_cast<const char*>(pointer) - arena()); }

void start_epoch(Block& block) {
  block.race.epoch = ++last_epoch;
  epoch_block.push_back(block.serial);
}

void keep_latest(std::unordered_map<uint64_t, Release>& by_block, uint64_t block, const Release& release) {
  Release& known = by_block[block];
  if (release.epoch >= known.epoch) known = release;
}

}  // namespace

void race_memory_allocated(void* block, size_t bytes) {
  shadow_set_valid(arena_offset(block), bytes, true);
  shadow_forget(arena_offset(block), bytes);
}

void race_memory_freed(void* block, size_t bytes) { shadow_set_valid(arena_offset(block), bytes, false); }
void race_shared_allocated(void* memory, size_t bytes) { shadow_set_valid(arena_offset(memory), bytes, true); }
void race_shared_freed(void* memory, size_t bytes) { shadow_set_valid(arena_offset(memory), bytes, false); }
void race_host_wrote(void* pointer, size_t bytes) { shadow_host_wrote(arena_offset(pointer), bytes); }

bool race_is_initialised(const void* pointer, size_t bytes) {
  const size_t first = arena_offset(pointer), end = first + bytes;
  for (size_t start = first / kCellBytes * kCellBytes; start < end; start += kCellBytes) {
    if (!shadow_cells(start)->write.epoch) return false;
  }
  return true;
}

void race_launch_started(const Launch& launch) {
  launch_epoch = last_epoch + 1;
  epoch_block.clear();
  releases.clear();
  find_code_base(launch.kernel);
}

void race_launch_ended() { kernel_runs = false; }
void race_kernel_runs(bool runs) { kernel_runs = runs; }

void race_block_started(Block& block) {
  block.race.seen.clear();
  block.race.acquired.clear();
  start_epoch(block);
  block.race.first_epoch = block.race.epoch;
  for (int i = 0; i < block.threads; ++i) {
    Fiber& fiber = block.warps[i / kLanes].lanes[i % kLanes];
    memset(fiber.race.clock, 0, sizeof fiber.race.clock);
    fiber.race.clock[fiber.lane] = 1;
    fiber.race.fenced = false;
  }
}

void race_barrier_completed(Block& block) { start_epoch(block); }

void race_warp_synced(Warp& warp, unsigned lanes) {
  uint32_t latest[kLanes] = {};
  for (unsigned left = lanes; left; left &= left - 1) {
    const uint32_t* clock = warp.lanes[__builtin_ctz(left)].race.clock;
    for (int i = 0; i < kLanes; ++i) latest[i] = std::max(latest[i], clock[i]);
  }
  for (unsigned left = lanes; left; left &= left - 1) {
    Fiber& fiber = warp.lanes[__builtin_ctz(left)];
    memcpy(fiber.race.clock, latest, sizeof latest);
    ++fiber.race.clock[fiber.lane];
  }
}

// From now on as if the thread that waits had written it.
void race_async_landed(const Fiber& fiber, void* out, size_t bytes) {
  const size_t first = arena_offset(out);
  for (size_t start = first; start < first + bytes; start += kCellBytes) {
    Access& write = shadow_cells(start)->write;
    write.pending = false;
    write.epoch = fiber.block->race.epoch;
    write.clock = fiber.race.clock[fiber.lane];
  }
}

void race_fence(Fiber& fiber) {
  RaceBlock& block = fiber.block->race;
  fiber.race.fenced = true;
  for (const auto& [serial, release] : block.seen) keep_latest(block.acquired, serial, release);
  block.seen.clear();
}

void race_atomic(Fiber& fiber, const volatile void* pointer, size_t bytes, const void* code) {
  check(fiber, pointer, bytes, AccessKind::kAtomic, code_of(code), bytes);
  Block& block = *fiber.block;
  std::vector<Release>& released = releases[reinterpret_cast<uintptr_t>(pointer)];
  for (const Release& release : released) {
    const uint64_t serial = epoch_block[release.epoch - launch_epoch];
    if (serial != block.serial) keep_latest(block.race.seen, serial, release);
  }
  if (fiber.race.fenced) released.push_back({block.race.epoch, fiber.linear});
}

void race_access(Fiber& fiber, const void* pointer, size_t bytes, AccessKind kind, const CallSite& site) {
  check(fiber, pointer, bytes, kind, code_of(site), bytes);
}

void race_kernel_access(const void* pointer, size_t bytes, AccessKind kind, const void* code, size_t alignment) {
  if (!current_fiber || !kernel_runs) return;
  Fiber& fiber = *current_fiber;
  // Another thread of the process may run host code meanwhile.
  const auto frame = static_cast<const char*>(__builtin_frame_address(0));
  if (static_cast<size_t>(frame - fiber.stack->bottom) >= kStackBytes) return;
  check(fiber, pointer, bytes, kind, code_of(code), alignment);
  const double preempt = config().preempt;
  if (preempt > 0 && static_cast<double>(random_for_schedule() >> 11) * 0x1p-53 < preempt) {
    make_ready(*fiber.warp, 1u << fiber.lane);
    wait_for_others();
  }
}

}  // namespace simt

#endif
