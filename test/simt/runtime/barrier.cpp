// __syncthreads and its relatives.
#include <cstring>

#include "race.h"
#include "report.h"
#include "scheduler.h"
#include "state.h"

namespace simt {
namespace {

constexpr CallSite site_at(const char* file, int line) { return {"__syncthreads", file, line}; }

bool is_same_call(const Block& block, Barrier kind, const char* file, int line) {
  return block.barrier == kind && block.barrier_site.line == line && strcmp(block.barrier_site.file, file) == 0;
}

void open(Block& block, Barrier kind, const char* file, int line) {
  block.barrier = kind;
  block.barrier_site = site_at(file, line);
  block.votes = kind == Barrier::kAnd ? 1 : 0;
}

void vote(Block& block, unsigned predicate) {
  switch (block.barrier) {
    case Barrier::kCount:
      block.votes += predicate;
      return;
    case Barrier::kAnd:
      block.votes &= predicate;
      return;
    default:
      block.votes |= predicate;
  }
}

void complete(Block& block, const Fiber& last) {
  block.outcome = block.votes;
  block.waiting = 0;
  race_barrier_completed(block);
  for (int w = 0; w < block.warp_count; ++w) {
    Warp& warp = block.warps[w];
    make_ready(warp, warp.exist & ~warp.exited);
  }
  last.warp->ready &= ~(1u << last.lane);
}

}  // namespace

unsigned block_barrier(Barrier kind, unsigned predicate, const char* file, int line) {
  Fiber& fiber = *current_fiber;
  Block& block = *fiber.block;
  const bool strict = config().strict;
  if (block.exited && strict) {
    device_fail("%s after %d threads of the block have exited (first: thread %d)", at_site(site_at(file, line)).c_str(),
                block.exited, block.first_exited);
  }
  if (block.waiting == 0) {
    open(block, kind, file, line);
  } else if (strict && !is_same_call(block, kind, file, line)) {
    device_fail("divergent barrier: this thread is at %s, %d others wait at %s", at_site(site_at(file, line)).c_str(),
                block.waiting, at_site(block.barrier_site).c_str());
  }
  vote(block, predicate);
  if (++block.waiting < block.threads - block.exited) {
    wait_for_others();
    return block.outcome;
  }
  complete(block, fiber);
  const unsigned outcome = block.outcome;
  // The last one to arrive does not always go on first.
  if (config().seed != 0 && random_for_schedule() % 2) {
    make_ready(*fiber.warp, 1u << fiber.lane);
    wait_for_others();
  }
  return outcome;
}

}  // namespace simt
