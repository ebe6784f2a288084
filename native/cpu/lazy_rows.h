// AdamW on an embedding table when a step meets only few of its rows: the others are updated when they are read, to the
// same bits that they would have had (as Carpenter, "Lazy Sparse Stochastic Gradient Descent for Regularized Multinomial
// Logistic Regression", 2008, does for regularization).
//
// A row that is not met has a gradient of 0, yet it changes: its moments fade, and it decays and moves on by m. That
// takes nothing but the step's scalars. So adamw updates the rows that were met and keeps the scalars, and each row
// remembers its last update. Before a row is read it is caught up: it goes through the updates it lacks, one after the
// other and by the same code, with a gradient of 0, while it is in the cache. Every update also catches up one row in
// 128, different ones each time, so that no row ever lacks more than the 128 updates whose scalars are kept.
//
// Most rows are at rest: their m is 0. Then p − step_size · 0 / (√v / root_correction2 + eps) is p if eps is positive, and
// an update comes down to p · decay and v · beta2.
//
// The table and its moments belong to embedding_forward and adamw. All other code must call settle before it reads or
// writes them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/backend.h"
#include "core/memory_range.h"
#include "cpu/adamw.h"
#include "cpu/met_rows.h"
#include "cpu/parallel.h"

namespace bertune {

class LazyRows {
 public:
  explicit LazyRows(Pool& pool) : pool_(pool) {}

  // Catches up the rows `ids` (count) of a table (rows,C), which are about to be read.
  template <typename T>
  void catch_up(const T* table, int rows, int C, const int32_t* ids, int count);

  // Begins an update of this segment's table, whose gradient is zero except in the rows of `met`; each thread then calls
  // update.
  template <typename T>
  void begin(const OptimizerSegment& segment, const MetRows& met, const AdamwScalars<T>& step);
  template <typename T>
  void update(int thread, const OptimizerSegment& segment, const MetRows& met);

  // Catches up every row if the memory contains part of the table or of its moments.
  template <typename T>
  void settle(MemoryRange memory);
  // The memory is about to be freed: settles, and forgets the table.
  template <typename T>
  void release(MemoryRange memory);

 private:
  static constexpr uint32_t kHistory = 128;

  struct Update {
    AdamwScalars<double> scalars;
    bool lets_rest;  // elements at rest
  };
  struct Late {
    int32_t row;
    uint32_t last;
  };

  bool has(MemoryRange memory) const;
  // Makes a row's updates from the one after `last` up to `end`.
  template <typename T>
  void catch_up_row(int row, uint32_t last, uint32_t end) const;

  Pool& pool_;
  MemoryRange p_, m_, v_;  // (rows,C); empty: no table
  int rows_ = 0, C_ = 0;
  uint32_t updates_ = 0;                    // of the table so far; wraps around, like those below
  std::array<Update, kHistory> history_{};  // update u at u % kHistory
  std::vector<uint32_t> last_;              // (rows) each row's last update
  std::vector<Late> late_;                  // of one catch_up
};

}  // namespace bertune
