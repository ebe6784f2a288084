// AdamW on an embedding table when a step meets only few of its rows: the others are updated when they are read, to the
// same bits that they would have had (as Carpenter, "Lazy Sparse Stochastic Gradient Descent for Regularized Multinomial
// Logistic Regression", 2008, does for regularization). native/cpu/lazy_rows.h does the same on the CPU.
//
// A row that is not met has a gradient of 0, yet it changes: its moments fade, and it decays and moves on by m. That
// takes nothing but the step's scalars. So an update runs over the rows that were met and keeps the scalars, and each row
// remembers its last update. Before a row is read it is caught up: it goes through the updates it lacks, one after the
// other and by the same code, with a gradient of 0, in registers. Every update also catches up one row in 32, different
// ones each time, so that no row ever lacks more than the 32 updates whose scalars are kept. (The CPU keeps 128: here a
// batch waits for its latest row, and memory is faster.)
//
// Everything that changes from step to step is in device memory, so that updates can be recorded.
//
// The table and its moments belong to embedding_forward and adamw. All other code must call settle before it reads or
// writes them.
#pragma once

#include <array>
#include <memory>

#include "core/memory_range.h"
#include "cuda/adamw.h"
#include "cuda/met_rows.h"
#include "cuda/segments.h"

namespace bertune::cuda {

constexpr uint32_t kLazyHistory = 32;

struct LazyState {
  struct Update {
    AdamwScalars scalars;
    bool lets_rest;  // elements at rest: see lazy_rows.cu
  };

  uint32_t updates;              // of the table so far; wraps around, like what rows remember
  unsigned ticket;               // of the blocks of an update
  Update history[kLazyHistory];  // update u at u % kLazyHistory
};

struct DeviceLazyRows {
  LazyState* state = nullptr;  // (1)
  uint32_t* last = nullptr;    // (V) each row's last update
  int V = 0, C = 0;
};

class LazyRows {
 public:
  // Catches up the rows of a table (V,C) that the current batch is about to read.
  template <typename T>
  void catch_up(Context& context, const T* table, int V, int C);
  // Begins to update this segment's table (V,C) late, unless it does already.
  template <typename T>
  void begin(Context& context, const OptimizerSegment& segment, int V, int C);
  // AdamW on that table, whose gradient is zero except in the rows `met`. `state`: of the step whose update it is.
  template <typename T>
  void update(Context& context, const DeviceMetRows& met, const AdamwConstants& constants, const float* loss /* (1) */,
              DeviceState* state);

  // Catches up every row if the memory contains part of the table or of its moments.
  template <typename T>
  void settle(Context& context, MemoryRange memory);
  // The memory is about to be freed, or the table has been settled for good.
  void forget(MemoryRange memory);

  size_t bytes() const { return memory_ ? memory_->bytes() : 0; }

 private:
  bool has(MemoryRange memory) const;

  DeviceSegment table_{};              // weight null: no table
  std::array<MemoryRange, 4> ranges_;  // weight, low bits, m and v, (V,C) each
  DeviceLazyRows rows_;
  std::unique_ptr<Memory> memory_;
};

}  // namespace bertune::cuda
