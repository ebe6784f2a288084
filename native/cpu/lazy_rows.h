// AdamW on an embedding table of whose rows a step meets few: the others are updated when they are read, and then to the
// bits that they would have had (as Carpenter, "Lazy Sparse Stochastic Gradient Descent for Regularized Multinomial
// Logistic Regression", 2008, does it for regularisation).
//
// A row that is not met has a gradient of 0, and yet changes: its moments fade, and it decays and goes on by m. That
// takes nothing but the step's scalars. So adamw updates the rows that were met and keeps its scalars, and each row
// remembers which update was its last. Before a row is read it is caught up: it goes through the updates it lacks, one
// after the other and by the same code, with a gradient of 0, while it is in the cache. Every update also catches up one
// row in 128, others each time, so that none ever lacks more than the 128 updates whose scalars are kept.
//
// Most rows rest, their m being 0. Then p − step_size · 0 / (√v / root_correction2 + eps) is p where eps is positive,
// and an update comes down to p · decay and v · beta2.
//
// The table and its moments belong to embedding_forward and adamw. Whoever else reads or writes them calls settle first.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/backend.h"
#include "cpu/adamw.h"
#include "cpu/memory_range.h"
#include "cpu/met_rows.h"
#include "cpu/parallel.h"

namespace bertune {

class LazyRows {
 public:
  explicit LazyRows(Pool& pool) : pool_(pool) {}

  // Catches up the rows `ids` (count) of a table (rows,C), which are to be read.
  template <typename T>
  void catch_up(const T* table, int rows, int C, const int32_t* ids, int count);

  // Begins an update of the table of this segment, whose gradient is zero in all rows but those of `met`; each thread
  // then calls update. False: this update is not for lazy rows, and nothing has begun.
  template <typename T>
  bool begin(const OptimizerSegment& segment, const MetRows& met, const AdamwScalars<T>& step);
  template <typename T>
  void update(int thread, const OptimizerSegment& segment, const MetRows& met);

  // Catches up every row if the memory has a part of the table or of its moments.
  template <typename T>
  void settle(MemoryRange memory);
  // The memory is about to be freed: settles, and lets the table go.
  template <typename T>
  void release(MemoryRange memory);

 private:
  static constexpr uint32_t kHistory = 128;

  struct Late {
    int32_t row;
    uint32_t last;
  };

  bool has(MemoryRange memory) const;
  // Makes the updates from the one after `last` to `end` of a row.
  template <typename T>
  void catch_up_row(int row, uint32_t last, uint32_t end) const;

  Pool& pool_;
  MemoryRange p_, m_, v_;  // (rows,C); empty: no table
  int rows_ = 0, C_ = 0;
  uint32_t updates_ = 0;                                  // of the table so far; wraps around, as do those below
  std::array<AdamwScalars<double>, kHistory> history_{};  // of update u at u % kHistory
  std::vector<uint32_t> last_;                            // (rows) each row's last update
  std::vector<Late> late_;                                // of one catch_up
};

}  // namespace bertune
