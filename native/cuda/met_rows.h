// The rows of an embedding table's gradient that may not be zero: those that tokens met since it was assigned.
//
// A step meets some hundred of a vocabulary's rows. If they are known, the others need not be zeroed, read or applied: of
// the gradient only the rows that were met are written, and what lies in the others counts as 0. Each row remembers the
// token that met it first, so that nothing has to be cleared for the next gradient.
//
// A compact gradient has a row for each token since it was assigned, and a row of the table lies in that of the token
// which met it first.
//
// All other code that reads or writes a gradient that is not compact must call fill before it does.
#pragma once

#include <cstdint>
#include <memory>

#include "core/backend.h"
#include "core/memory_range.h"
#include "cuda/simt.h"

namespace bertune::cuda {

struct Context;

// As kernels see it. Tokens are numbered from 1 on, those of a batch by (id, index), as their gradients are summed.
struct DeviceMetRows {
  struct Tokens {
    uint64_t last;
    uint64_t batch;     // the first of the last batch
    uint64_t gradient;  // the first since the gradient was assigned
  };

  Tokens* tokens = nullptr;       // (1) null: no such gradient
  uint64_t* first_met = nullptr;  // (V) the token that met the row first
  int V = 0, C = 0;
  bool is_compact = false;

  __device__ __forceinline__ bool has(int row) const { return first_met[row] >= tokens->gradient; }
  // Whether the last batch met a row for the first time, so that it has no gradient yet.
  __device__ __forceinline__ bool is_new(int row) const { return first_met[row] >= tokens->batch; }
  // The gradient's row for a row that was met.
  __device__ __forceinline__ int place(int row) const {
    return is_compact ? static_cast<int>(first_met[row] - tokens->gradient) : row;
  }
};

class MetRows {
 public:
  // Whether rows of C columns, V of them, can be known; and if they begin at `grad`.
  static bool suits(int V, int C);
  static bool suits(const Acc* grad, int V, int C);

  // The current batch is about to be added to a gradient (V,C) that suits, or assigned to it. Its other rows are known as
  // well, or count as met.
  void meet(Context& context, const EmbeddingBackward& args);
  // Of the gradient that it met last.
  const DeviceMetRows& rows() const { return rows_; }
  // The segment for whose gradient they are known; `count` if there is none.
  int find(const OptimizerSegment* segments, int count) const;

  // As Backend::read_places.
  void read_places(Context& context, int32_t* places, const Acc* gradient, int V) const;
  // Zeroes the rows that were not met, which then count as met, if the memory contains part of the gradient and that is not
  // compact.
  void fill(Context& context, MemoryRange memory);
  // The memory is about to be freed, or from now on the gradient's rows are not to be known.
  void forget(MemoryRange memory);

  size_t bytes() const { return memory_ ? memory_->bytes() : 0; }

 private:
  MemoryRange range() const;
  void know(Context& context, const EmbeddingBackward& args);

  const Acc* grad_ = nullptr;
  size_t bytes_of_grad_ = 0;
  DeviceMetRows rows_;
  std::unique_ptr<Memory> memory_;
};

}  // namespace bertune::cuda
