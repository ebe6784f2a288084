// What the race build keeps with each fiber and block; nothing in the other builds.
#pragma once

#include <cstdint>
#include <unordered_map>

namespace simt {

#if defined(SIMT_RACE)

// Threads are ordered within a warp by vector clocks, which __syncwarp joins; within a block by the number of the
// barrier phase, its epoch; and between blocks by an atomic after a fence in the one and before a fence in the other.
struct RaceFiber {
  uint32_t clock[32];
  bool fenced;
};

struct Release {
  uint32_t epoch;
  int thread;
};

struct RaceBlock {
  uint32_t epoch = 0;
  uint32_t first_epoch = 0;
  std::unordered_map<uint64_t, Release> seen;      // block → what an atomic showed of it
  std::unordered_map<uint64_t, Release> acquired;  // the same, once a fence came after it
};

#else

struct RaceFiber {};
struct RaceBlock {};

#endif

}  // namespace simt
