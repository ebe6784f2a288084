// Shuffles, votes, __syncwarp and sums over lanes.
#include "warp.h"

#include <cstring>
#include <string>

#include "race.h"
#include "report.h"
#include "scheduler.h"
#include "state.h"

namespace simt {
namespace {

const char* name_of(Op op) {
  switch (op) {
    case Op::kShuffle:
      return "__shfl_sync";
    case Op::kShuffleUp:
      return "__shfl_up_sync";
    case Op::kShuffleDown:
      return "__shfl_down_sync";
    case Op::kShuffleXor:
      return "__shfl_xor_sync";
    case Op::kBallot:
      return "__ballot_sync";
    case Op::kAny:
      return "__any_sync";
    case Op::kAll:
      return "__all_sync";
    case Op::kSync:
      return "__syncwarp";
    case Op::kSum:
      return "__reduce_add_sync";
    case Op::kMin:
      return "__reduce_min_sync";
    case Op::kMax:
      return "__reduce_max_sync";
    case Op::kMmaBf16:
    case Op::kMmaF16:
      return "mma.sync";
    default:
      return "ldmatrix";
  }
}

// Calls `visit` with each lane of the mask.
template <typename Visit>
void for_lanes(unsigned mask, Visit visit) {
  for (; mask; mask &= mask - 1) visit(__builtin_ctz(mask));
}

void check_mask(const Fiber& fiber, Op op, unsigned mask, const char* file, int line) {
  const Warp& warp = *fiber.warp;
  const auto site = [&] { return at_site({name_of(op), file, line}) + " with mask " + hex(mask); };
  if (!(mask >> fiber.lane & 1)) fail_thread(site() + ", which does not name the calling lane");
  if (mask & ~warp.exist) fail_thread(site() + " names lanes that this warp does not have");
  if (mask & warp.exited) fail_thread(site() + " names exited lanes " + hex(mask & warp.exited));
}

// Lanes that wait for this one elsewhere, with another mask.
void check_no_conflict(const Fiber& fiber, const Rendezvous& other, Op op, unsigned mask, const char* file, int line) {
  if (!(other.mask >> fiber.lane & 1) || !(other.arrived & mask)) return;
  fail_thread("mask mismatch: lane " + std::to_string(fiber.lane) + " is at " + at_site({name_of(op), file, line}) +
              " with mask " + hex(mask) + ", lanes " + hex(other.arrived) + " wait for it at " + at_site(other.site) +
              " with mask " + hex(other.mask));
}

void check_same_call(const Fiber& fiber, const Rendezvous& meeting, Op op, const char* file, int line) {
  const bool same_line = meeting.site.line == line && (meeting.site.file == file || !strcmp(meeting.site.file, file));
  if (meeting.op == op && (same_line || !config().strict)) return;
  fail_thread("warp divergence: lane " + std::to_string(fiber.lane) + " is at " + at_site({name_of(op), file, line}) +
              ", lanes " + hex(meeting.arrived) + " wait at " + at_site(meeting.site));
}

// The lane that `lane` reads from, which may be outside of the mask.
int shuffle_source(Op op, int lane, int argument, int width) {
  const int first = lane & ~(width - 1), last = first + width - 1;
  if (op == Op::kShuffle) return first | (argument & (width - 1));
  const int source = op == Op::kShuffleUp     ? lane - argument
                     : op == Op::kShuffleDown ? lane + argument
                                              : lane ^ argument;
  const bool outside = op == Op::kShuffleUp ? source < first : source > last;
  return outside ? lane : source;
}

void shuffle(Warp& warp, const Rendezvous& meeting) {
  uint64_t brought[kLanes];
  for_lanes(meeting.mask, [&](int lane) { brought[lane] = warp.lanes[lane].exchange.value; });
  for_lanes(meeting.mask, [&](int lane) {
    Exchange& exchange = warp.lanes[lane].exchange;
    const int width = exchange.width;
    if (width < 1 || width > kLanes || (width & (width - 1))) {
      fail_thread(at_site(meeting.site) + ": width " + std::to_string(width) + " is not a power of two up to 32");
    }
    const int source = shuffle_source(meeting.op, lane, exchange.argument, width);
    if (source < 0 || source >= kLanes || !(meeting.mask >> source & 1)) {
      fail_thread(at_site(meeting.site) + ": lane " + std::to_string(lane) + " reads lane " + std::to_string(source) +
                  ", which is not in mask " + hex(meeting.mask));
    }
    exchange.value = brought[source];
  });
}

unsigned set_lanes(const Warp& warp, unsigned mask) {
  unsigned set = 0;
  for_lanes(mask, [&](int lane) { set |= (warp.lanes[lane].exchange.value ? 1u : 0u) << lane; });
  return set;
}

unsigned reduce(const Warp& warp, const Rendezvous& meeting) {
  unsigned result = meeting.op == Op::kMin ? ~0u : 0;
  for_lanes(meeting.mask, [&](int lane) {
    const auto value = static_cast<unsigned>(warp.lanes[lane].exchange.value);
    if (meeting.op == Op::kSum) result += value;
    if (meeting.op == Op::kMin) result = std::min(result, value);
    if (meeting.op == Op::kMax) result = std::max(result, value);
  });
  return result;
}

void give_all(Warp& warp, unsigned mask, uint64_t value) {
  for_lanes(mask, [&](int lane) { warp.lanes[lane].exchange.value = value; });
}

void complete(Warp& warp, const Rendezvous& meeting) {
  const unsigned mask = meeting.mask;
  switch (meeting.op) {
    case Op::kShuffle:
    case Op::kShuffleUp:
    case Op::kShuffleDown:
    case Op::kShuffleXor:
      return shuffle(warp, meeting);
    case Op::kBallot:
      return give_all(warp, mask, set_lanes(warp, mask));
    case Op::kAny:
      return give_all(warp, mask, set_lanes(warp, mask) != 0);
    case Op::kAll:
      return give_all(warp, mask, set_lanes(warp, mask) == mask);
    case Op::kSync:
      return race_warp_synced(warp, mask);
    default:
      return give_all(warp, mask, reduce(warp, meeting));
  }
}

}  // namespace

Rendezvous* arrive(Op op, unsigned mask, const char* file, int line) {
  Fiber& fiber = *current_fiber;
  Warp& warp = *fiber.warp;
  const unsigned bit = 1u << fiber.lane;
  if (!(mask & bit) || mask & (~warp.exist | warp.exited)) check_mask(fiber, op, mask, file, line);
  Rendezvous* meeting = nullptr;
  for (int i = 0; i < warp.meetings && !meeting; ++i) {
    if (warp.meeting[i].mask == mask) {
      meeting = &warp.meeting[i];
    } else {
      check_no_conflict(fiber, warp.meeting[i], op, mask, file, line);
    }
  }
  if (meeting) {
    check_same_call(fiber, *meeting, op, file, line);
  } else {
    meeting = &warp.meeting[warp.meetings++];
    *meeting = {mask, 0, op, {name_of(op), file, line}};
  }
  meeting->arrived |= bit;
  return meeting->arrived == mask ? meeting : nullptr;
}

void dismiss(Rendezvous* meeting) {
  Fiber& fiber = *current_fiber;
  Warp& warp = *fiber.warp;
  make_ready(warp, meeting->mask & ~(1u << fiber.lane));
  *meeting = warp.meeting[--warp.meetings];
}

uint64_t warp_exchange(Op op, unsigned mask, uint64_t value, int argument, int width, const char* file, int line) {
  Fiber& fiber = *current_fiber;
  fiber.exchange = {value, argument, width};
  if (Rendezvous* meeting = arrive(op, mask, file, line)) {
    complete(*fiber.warp, *meeting);
    dismiss(meeting);
  } else {
    wait_for_others();
  }
  return fiber.exchange.value;
}

}  // namespace simt
