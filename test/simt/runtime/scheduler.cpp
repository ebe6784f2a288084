#include "scheduler.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <map>
#include <string>

#include "device_memory.h"
#include "fault.h"
#include "race.h"
#include "report.h"
#include "shared_memory.h"
#include "state.h"

namespace simt {

uint3 g_threadIdx, g_blockIdx;
dim3 g_blockDim, g_gridDim;
Fiber* current_fiber = nullptr;
const Launch* current_launch = nullptr;

namespace {

// Launches come one at a time (mutex()), so one of each is enough.
Context scheduler_context;
bool failed = false;
uint64_t random_state = 1;
Block* blocks = nullptr;  // kSharedSlots of them
int resident = 1;         // of those, the ones in use
bool in_order = true;
Warp* last_warp = nullptr;  // where not in order: the one that ran last

uint64_t grid_blocks(const Launch& launch) {
  return static_cast<uint64_t>(launch.grid.x) * launch.grid.y * launch.grid.z;
}

// ---- which fiber is next ----

Fiber* take_lane(Warp& warp, int lane) {
  warp.ready &= ~(1u << lane);
  return &warp.lanes[lane];
}

// Stays in a warp as long as it can: its 32 stacks fit into the cache.
Fiber* next_in_order() {
  Block& block = blocks[0];
  for (int tried = 0; tried < block.warp_count; ++tried) {
    Warp& warp = block.warps[block.current_warp];
    if (warp.ready) return take_lane(warp, __builtin_ctz(warp.ready));
    if (++block.current_warp == block.warp_count) block.current_warp = 0;
  }
  return nullptr;
}

Fiber* random_lane(Warp& warp) {
  unsigned lanes = warp.ready;
  for (auto skip = random_for_schedule() % static_cast<unsigned>(__builtin_popcount(lanes)); skip > 0; --skip) {
    lanes &= lanes - 1;
  }
  return take_lane(warp, __builtin_ctz(lanes));
}

// Half of the time the warp stays the same, so that one can get far ahead of the others.
Fiber* next_at_random() {
  Warp* ready[kSharedSlots * kMaxWarps];
  size_t count = 0;
  bool has_last = false;
  for (int i = 0; i < resident; ++i) {
    Block& block = blocks[i];
    for (int w = 0; w < block.warp_count; ++w) {
      Warp* warp = &block.warps[w];
      if (!warp->ready) continue;
      ready[count++] = warp;
      has_last |= warp == last_warp;
    }
  }
  if (count == 0) return nullptr;
  if (!has_last || random_for_schedule() % 2) last_warp = ready[random_for_schedule() % count];
  return random_lane(*last_warp);
}

Fiber* next_fiber() {
  if (failed) return nullptr;
  return in_order ? next_in_order() : next_at_random();
}

// ---- running one ----

void fiber_main();

bool is_fresh(const Fiber* fiber) { return fiber->warp->fresh >> fiber->lane & 1; }

void begin(Fiber* fiber, Stack* stack) {
  fiber->warp->fresh &= ~(1u << fiber->lane);
  fiber->stack = stack;
}

void set_current(Fiber* fiber) {
  current_fiber = fiber;
  g_threadIdx = fiber->index;
  g_blockIdx = fiber->block->index;
}

// Null stands for the scheduler.
void switch_to(Fiber* from, Fiber* to, bool ends) {
  Context& old = from ? from->context : scheduler_context;
  if (!to) {
    current_fiber = nullptr;
    switch_context(old, scheduler_context, nullptr, ends);
    return;
  }
  if (is_fresh(to)) {
    begin(to, take_stack());
    prepare(to->context, to->stack, &fiber_main);
  }
  set_current(to);
  switch_context(old, to->context, to->stack, ends);
}

void check_exit(Fiber& fiber) {
  Block& block = *fiber.block;
  const Warp& warp = *fiber.warp;
  const auto pending = [&](const AsyncCopy& copy) { return copy.group < fiber.group; };
  if (std::any_of(fiber.copies.begin(), fiber.copies.end(), pending)) {
    fail_launch("thread " + std::to_string(fiber.linear) + " exits with cp.async groups that it never waited for");
  }
  for (int i = 0; i < warp.meetings; ++i) {
    const Rendezvous& meeting = warp.meeting[i];
    if (!(meeting.mask >> fiber.lane & 1)) continue;
    fail_launch(describe_block(block) + ": thread " + std::to_string(fiber.linear) + " (warp " +
                std::to_string(warp.index) + " lane " + std::to_string(fiber.lane) + ") exits while lanes " +
                hex(meeting.arrived) + " of its warp wait for it at " + at_site(meeting.site) + " with mask " +
                hex(meeting.mask));
  }
  if (block.waiting && config().strict) {
    fail_launch(describe_block(block) + ": thread " + std::to_string(fiber.linear) + " exits without reaching the " +
                at_site(block.barrier_site) + " where " + std::to_string(block.waiting) + " threads wait");
  }
}

void finish(Fiber& fiber) {
  Block& block = *fiber.block;
  fiber.warp->exited |= 1u << fiber.lane;
  ++block.exited;
  if (block.first_exited < 0) block.first_exited = fiber.linear;
  if (fiber.warp->meetings || block.waiting || !fiber.copies.empty()) check_exit(fiber);
  if (!has_waited(fiber)) {
    fail_launch(describe_thread(block, fiber.linear) + " exits without wait_for_previous() in a launch that overlaps");
  }
  fiber.copies.clear();
}

// Runs one thread after the other on its stack, as long as the next one has not started anywhere.
void fiber_main() {
  context_entered();
  Fiber* fiber = current_fiber;
  for (;;) {
    race_kernel_runs(true);
    current_launch->thunk(current_launch->arguments);
    race_kernel_runs(false);
    finish(*fiber);
    Fiber* next = next_fiber();
    if (next && is_fresh(next)) {
      begin(next, fiber->stack);
      set_current(next);
      fiber = next;
      continue;
    }
    race_kernel_runs(true);
    if (!failed) give_stack_back(fiber->stack);
    switch_to(fiber, next, true);
    __builtin_unreachable();
  }
}

// ---- blocks ----

void lay_out_threads(const Launch& launch, Block& block, int slot) {
  // A slot has room for the largest block, so that a warp's fibers are neighbors.
  static auto* fibers = static_cast<Fiber*>(reserve_pages(sizeof(Fiber) * kMaxThreads * kSharedSlots));
  static bool constructed[kSharedSlots];
  Fiber* first = fibers + static_cast<size_t>(slot) * kMaxThreads;
  if (!constructed[slot]) {
    for (int i = 0; i < kMaxThreads; ++i) new (first + i) Fiber;
    constructed[slot] = true;
  }
  const dim3 size = launch.block;
  block.slot = slot;
  block.threads = static_cast<int>(size.x * size.y * size.z);
  block.warp_count = (block.threads + kLanes - 1) / kLanes;
  for (int w = 0; w < block.warp_count; ++w) {
    Warp& warp = block.warps[w];
    const int lanes = std::min(kLanes, block.threads - w * kLanes);
    warp.lanes = first + w * kLanes;
    warp.index = w;
    warp.exist = lanes == kLanes ? ~0u : (1u << lanes) - 1;
  }
  for (int i = 0; i < block.threads; ++i) {
    Fiber& fiber = first[i];
    const auto linear = static_cast<unsigned>(i);
    fiber.block = &block;
    fiber.warp = &block.warps[i / kLanes];
    fiber.linear = i;
    fiber.lane = i % kLanes;
    fiber.index = uint3{linear % size.x, linear / size.x % size.y, linear / size.x / size.y};
    fiber.copies.clear();
  }
}

void start_block(const Launch& launch, Block& block, uint64_t serial) {
  const dim3 grid = launch.grid;
  block.serial = serial;
  block.index = uint3{static_cast<unsigned>(serial % grid.x), static_cast<unsigned>(serial / grid.x % grid.y),
                      static_cast<unsigned>(serial / grid.x / grid.y)};
  block.exited = block.waiting = block.current_warp = 0;
  block.first_exited = -1;
  for (int w = 0; w < block.warp_count; ++w) {
    Warp& warp = block.warps[w];
    warp.fresh = warp.ready = warp.exist;
    warp.exited = warp.waited = 0;
    warp.meetings = 0;
  }
  clear_shared_memory(block);
  race_block_started(block);
}

std::string where_waits(const Fiber& fiber) {
  const Warp& warp = *fiber.warp;
  if (warp.exited >> fiber.lane & 1) return "exited";
  for (int i = 0; i < warp.meetings; ++i) {
    const Rendezvous& meeting = warp.meeting[i];
    if (meeting.arrived >> fiber.lane & 1) return "at " + at_site(meeting.site) + " mask " + hex(meeting.mask);
  }
  return "at " + at_site(fiber.block->barrier_site);
}

void report_deadlock() {
  std::string text = "deadlock:";
  for (int i = 0; i < resident; ++i) {
    const Block& block = blocks[i];
    if (!block.active()) continue;
    std::map<std::string, std::vector<int>> places;
    for (int t = 0; t < block.threads; ++t) {
      const Fiber& fiber = block.warps[t / kLanes].lanes[t % kLanes];
      places[where_waits(fiber)].push_back(t);
    }
    text += " " + describe_block(block) + ": ";
    for (const auto& [place, threads] : places) text += "threads " + as_ranges(threads) + " " + place + "; ";
  }
  fail_launch(text);
}

// The blocks of a grid in the order in which they start.
class BlockOrder {
 public:
  explicit BlockOrder(uint64_t count) : count_(count) {
    if (in_order) return;
    shuffled_.resize(count);
    for (uint64_t i = 0; i < count; ++i) shuffled_[i] = i;
    for (uint64_t i = count; i > 1; --i) std::swap(shuffled_[i - 1], shuffled_[random_for_schedule() % i]);
  }
  bool done() const { return next_ == count_; }
  uint64_t take() {
    const uint64_t next = next_++;
    return in_order ? next : shuffled_[next];
  }

 private:
  uint64_t count_, next_ = 0;
  std::vector<uint64_t> shuffled_;
};

bool start_next_blocks(const Launch& launch, BlockOrder& order) {
  bool started = false;
  for (int i = 0; i < resident && !order.done(); ++i) {
    if (blocks[i].active()) continue;
    start_block(launch, blocks[i], order.take());
    started = true;
  }
  return started;
}

bool any_block_active() {
  return std::any_of(blocks, blocks + resident, [](const Block& block) { return block.active(); });
}

void run_blocks(const Launch& launch) {
  BlockOrder order(grid_blocks(launch));
  while (start_next_blocks(launch, order)) {
    // Comes back when no fiber can run, or when one failed.
    if (Fiber* fiber = next_fiber()) switch_to(nullptr, fiber, false);
    if (failed) return;
    if (any_block_active() && in_order) return report_deadlock();
    if (any_block_active() && order.done()) return report_deadlock();
  }
  if (any_block_active()) report_deadlock();
}

}  // namespace

uint64_t random_for_schedule() {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state;
}

void make_ready(Warp& warp, unsigned lanes) { warp.ready |= lanes; }

void wait_for_others() {
  Fiber* fiber = current_fiber;
  Fiber* next = next_fiber();
  if (next != fiber) switch_to(fiber, next, false);
}

bool launch_failed() { return failed; }

void wait_for_previous() { current_fiber->warp->waited |= 1u << current_fiber->lane; }

bool has_waited(const Fiber& fiber) { return !current_launch->overlaps || fiber.warp->waited >> fiber.lane & 1; }

void leave_fiber() {
  switch_to(current_fiber, nullptr, false);
  __builtin_unreachable();
}

void fail_launch(const std::string& text) {
  if (failed) return;
  failed = true;
  report_failure("kernel " + kernel_name(current_launch->kernel) + ": " + text);
}

void fail_thread(const std::string& text) {
  race_kernel_runs(false);
  fail_launch(describe_thread(*current_fiber->block, current_fiber->linear) + ": " + text);
  leave_fiber();
}

void device_fail(const char* format, ...) {
  char text[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  fail_thread(text);
}

void run_launch(const Launch& launch) {
  if (!device_works()) return;
  const Config& settings = config();
  if (!blocks) blocks = new Block[kSharedSlots];
  failed = false;
  current_launch = &launch;
  g_blockDim = launch.block;
  g_gridDim = launch.grid;
  in_order = settings.seed == 0;
  last_warp = nullptr;
  random_state = settings.seed * 0x9E3779B97F4A7C15ull + 88172645463325252ull;
  const int most = in_order ? 1 : std::min(settings.resident_blocks, kSharedSlots);
  resident = static_cast<int>(std::min<uint64_t>(static_cast<uint64_t>(most), grid_blocks(launch)));
  for (int i = 0; i < resident; ++i) {
    lay_out_threads(launch, blocks[i], i);
    blocks[i].exited = blocks[i].threads;
  }
  context_forget_scheduler();
  race_launch_started(launch);
  run_blocks(launch);
  race_launch_ended();
  current_fiber = nullptr;
  current_launch = nullptr;
  if (failed) give_all_stacks_back();
}

}  // namespace simt
