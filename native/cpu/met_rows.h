// The rows of an embedding table's gradient that may not be zero: those that tokens met since it was assigned.
//
// A step meets some hundred of a vocabulary's rows. If they are known, the others need not be zeroed, summed or applied.
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

  // All rows of the gradient (rows,C) are zero now.
  template <typename T>
  void assign(const T* grad, int rows, int C) {
    assign({grad, static_cast<size_t>(rows) * C * sizeof(T)}, rows, C);
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
  bool has(int row) const { return is_met_[row] != 0; }

 private:
  bool knows(const void* grad) const { return grad != nullptr && grad == grad_.begin; }
  void assign(MemoryRange grad, int rows, int C);
  void meet(int32_t row);

  MemoryRange grad_;  // empty: nothing is known
  int rows_ = 0, C_ = 0;
  std::vector<int32_t> list_;
  std::vector<uint8_t> is_met_;  // (rows)
};

}  // namespace bertune
