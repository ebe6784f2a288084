// What runs: a launch has blocks, a block has warps, a warp has 32 fibers, one a CUDA thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "context.h"
#include "race_types.h"
#include "simt_emulated.h"

// Inside the emulator these are no variables.
#undef threadIdx
#undef blockIdx
#undef blockDim
#undef gridDim

namespace simt {

constexpr int kLanes = 32;
constexpr int kMaxThreads = 1024;
constexpr int kMaxWarps = kMaxThreads / kLanes;

struct Block;
struct Warp;

// The call in a kernel that a thread waits at.
struct CallSite {
  const char* name;
  const char* file;
  int line;
};

struct AsyncCopy {
  void* out;
  const void* inp;
  bool valid;
  uint32_t group;
};

// What a lane brings to a collective of its warp, and takes from it.
struct Exchange {
  uint64_t value;  // brought, then taken
  int argument;    // lane or distance
  int width;
};
struct MatrixOperands {
  uint32_t a[4], b[2];
  float c[4];  // brought, then taken
};
struct MatrixRows {
  const void* row;
  uint32_t registers[4];
};

struct alignas(64) Fiber {
  Context context;
  Stack* stack = nullptr;
  Block* block = nullptr;
  Warp* warp = nullptr;
  uint3 index{};   // threadIdx
  int linear = 0;  // in the block
  int lane = 0;
  union {
    Exchange exchange;
    MatrixOperands matrix;
    MatrixRows rows;
  };
  uint32_t group = 0;  // of cp.async, the one that is being filled
  std::vector<AsyncCopy> copies;
  RaceFiber race;

  Fiber() : exchange{} {}
};

// A collective that some lanes have arrived at.
struct Rendezvous {
  unsigned mask;
  unsigned arrived;
  Op op;
  CallSite site;
};

struct Warp {
  Fiber* lanes = nullptr;  // neighbors in memory
  int index = 0;
  unsigned exist = 0;  // lanes, as the masks below
  unsigned fresh = 0;  // not started yet
  unsigned ready = 0;  // to run; fresh ones are ready, too
  unsigned exited = 0;
  unsigned waited = 0;  // have called wait_for_previous()
  int meetings = 0;
  Rendezvous meeting[kLanes];
};

struct SharedArray {
  const void* key;  // of a static array; null: a dynamic one
  char* data;
  size_t bytes;
};

struct Block {
  uint3 index{};
  uint64_t serial = 0;  // in the grid
  int slot = 0;
  int threads = 0;
  int exited = 0;
  int first_exited = -1;
  int warp_count = 0;
  int current_warp = 0;  // where threads run in order
  Warp warps[kMaxWarps];
  // The barrier that some threads wait at.
  int waiting = 0;
  Barrier barrier = Barrier::kPlain;
  CallSite barrier_site{};
  unsigned votes = 0;
  unsigned outcome = 0;  // of the last one that was completed
  // Shared memory.
  std::vector<SharedArray> static_arrays, dynamic_arrays;
  size_t static_bytes = 0, dynamic_bytes = 0;
  size_t used = 0;  // of the slot
  RaceBlock race;

  bool active() const { return exited < threads; }
};

struct Launch {
  const void* kernel;
  void (*thunk)(void* arguments);
  void* arguments;
  size_t argument_bytes;
  dim3 grid, block;
  size_t shared_bytes;
  size_t shared_limit;  // of dynamic and static shared memory together
  bool overlaps;        // the launch ahead, so every thread has to wait for it
};

}  // namespace simt
