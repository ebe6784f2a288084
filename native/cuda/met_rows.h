// The rows of an embedding table's gradient that may not be zero: those that tokens met since it was assigned.
//
// A step meets some hundred of a vocabulary's rows. If they are known, the others need not be zeroed, read or applied: of
// the gradient only the rows that were met are written, and what lies in the others counts as 0. Each row remembers the
// batch that met it first, so that nothing has to be cleared for the next gradient.
//
// All other code that reads or writes the gradient must call fill before it does.
#pragma once

#include <cstdint>
#include <memory>

#include "core/backend.h"
#include "core/memory_range.h"
#include "cuda/simt.h"

namespace bertune::cuda {

struct Context;

// As kernels see it. Batches are numbered as their gradients are summed; the numbers wrap around.
struct DeviceMetRows {
  struct Batches {
    uint32_t last;
    uint32_t first;  // assigned the gradient
  };

  Batches* batches = nullptr;     // (1) null: no such gradient
  uint32_t* first_met = nullptr;  // (V) the batch that met the row first
  int V = 0, C = 0;

  __device__ __forceinline__ bool has(int row) const {
    return batches->last - first_met[row] <= batches->last - batches->first;
  }
  // Whether the last batch met a row for the first time, so that it has no gradient yet.
  __device__ __forceinline__ bool is_new(int row) const { return first_met[row] == batches->last; }
};

class MetRows {
 public:
  // Whether a gradient is one whose rows can be known.
  static bool suits(const Acc* grad, int V, int C);

  // The current batch is about to be added to a gradient (V,C) that suits, or assigned to it. Its other rows are known as
  // well, or count as met.
  void meet(Context& context, const EmbeddingBackward& args);
  // Of the gradient that it met last.
  const DeviceMetRows& rows() const { return rows_; }
  // The segment for whose gradient they are known; `count` if there is none.
  int find(const OptimizerSegment* segments, int count) const;

  // Zeroes the rows that were not met, which then count as met, if the memory contains part of the gradient.
  void fill(Context& context, MemoryRange memory);
  // The memory is about to be freed, or from now on the gradient's rows are not to be known.
  void forget(MemoryRange memory);

  size_t bytes() const { return memory_ ? memory_->bytes() : 0; }

 private:
  MemoryRange range() const;
  void know(Context& context, const EmbeddingBackward& args);

  const Acc* grad_ = nullptr;
  DeviceMetRows rows_;
  std::unique_ptr<Memory> memory_;
};

}  // namespace bertune::cuda
