// The rows of an embedding table's gradient that may not be zero: those that tokens met since it was assigned.
//
// A step meets some hundred of a vocabulary's rows. If they are known, the others need not be zeroed, summed or applied,
// nor have memory: a compact gradient has the rows in the order in which they were met, and zeros behind them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/backend.h"
#include "core/memory_range.h"

namespace bertune {

class MetRows {
 public:
  // Whether they are known for this gradient (rows,C), or for one that begins here and has `count` elements.
  bool know(const void* grad, int rows, int C) const { return knows(grad) && rows == rows_ && C == C_; }
  bool know(const void* grad, int64_t count) const { return knows(grad) && count == static_cast<int64_t>(rows_) * C_; }

  // The gradient of a table (rows,C) is zero now. It has `capacity` rows: if these are fewer, it is compact.
  template <typename T>
  void assign(const T* grad, int capacity, int rows, int C) {
    assign({grad, static_cast<size_t>(capacity) * C * sizeof(T)}, capacity, rows, C);
  }
  // The batch, its tokens sorted by id, is about to be added to what was assigned, except for the row `skip`.
  void add(const Batch& batch, int skip);
  // Tokens of other ranks met these rows as well.
  void add(const std::vector<int32_t>& rows);
  // The segment for whose gradient they are known; `count` if there is none.
  int find(const OptimizerSegment* segments, int count) const {
    int s = 0;
    while (s < count && !know(segments[s].grad, segments[s].count)) ++s;
    return s;
  }
  // Other code may write to this memory: nothing is known any longer about a gradient in it.
  void forget(MemoryRange memory) {
    if (memory.overlaps(grad_)) grad_ = {};
  }

  int rows() const { return rows_; }
  int C() const { return C_; }
  const std::vector<int32_t>& list() const { return list_; }  // ascending
  bool has(int row) const { return places_[row] != kNone; }
  // The places of all rows (V), if the gradient is the one they are known for; otherwise −1.
  void read_places(const void* grad, int V, int32_t* places) const;
  // Which row of the gradient is that of a row that was met; −1 for others.
  int place(int row) const { return places_[row]; }

 private:
  static constexpr int32_t kNone = -1;

  bool knows(const void* grad) const { return grad != nullptr && grad == grad_.begin; }
  void assign(MemoryRange grad, int capacity, int rows, int C);
  void meet(int32_t row);

  MemoryRange grad_;  // empty: nothing is known
  int capacity_ = 0, rows_ = 0, C_ = 0;
  std::vector<int32_t> list_;
  std::vector<int32_t> places_;  // (rows)
};

}  // namespace bertune
