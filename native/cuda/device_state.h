// What kernels read about the running step. A recorded step is replayed with the arguments it was recorded with, so
// everything that differs from one replay to the next is here, in device memory.
#pragma once

#include "core/backend.h"
#include "core/philox.h"
#include "cuda/simt.h"

namespace bertune::cuda {

struct DeviceState {
  StepState step;
  // Of each variant. Set by adamw when a loss or a norm is not finite; no weight changes from then on until start_run.
  int32_t halted[kMostVariants];
  float grad_norm[kMostVariants];  // from the last grad_norm, for adamw
  // Of a step whose update is put off:
  int32_t is_updated;  // it was made, or there is none to make
  float loss;
};

// The rows of an operation. Its arrays have `padded` rows, of which the first `*live` are those of the batch (all, where
// they are a part of its rows). An operation
// writes zeros to the other rows of its outputs, so that a GEMM may run over all of them.
struct RowCount {
  int padded;
  const int32_t* live;  // device; null: all

  __device__ __forceinline__ int count() const { return live && *live < padded ? *live : padded; }
};

// A dropout as kernels apply it; core/philox.h says which word decides about an element.
struct DropoutMask {
  const DeviceState* state;
  uint32_t site;
  uint32_t threshold;  // 0: nothing is dropped, and no random numbers are made
  float scale;         // 1 / (1 − p)
  // If several processes share the micro-batch: the number of rows in the parts before this one, device; null: none. Each has
  // this many rows of elements.
  const uint32_t* rows_before;
  uint32_t rows_of_row;
  const DropoutPlace* places;  // of those rows, if the batch has them; device

  __device__ __forceinline__ bool on() const { return threshold != 0; }

  // The place that determines the random numbers of a row of elements.
  __device__ __forceinline__ DropoutPlace place(uint32_t row) const {
    if (places) {
      const DropoutPlace whole = places[row / rows_of_row];
      return {whole.row * rows_of_row + row % rows_of_row, whole.step};
    }
    return {rows_before ? row + *rows_before * rows_of_row : row, state->step.dropout_step};
  }

  // The factors, 0 or `scale`, of elements (row, 4·group .. 4·group + 3).
  __device__ __forceinline__ float4 factors(uint32_t row, uint32_t group) const {
    if (threshold == 0) return make_float4(1.f, 1.f, 1.f, 1.f);
    const DropoutPlace at = place(row);
    const PhiloxWords words = dropout_words(state->step.seed, at.step, site, at.row, group);
    return make_float4(words.word[0] >= threshold ? scale : 0.f, words.word[1] >= threshold ? scale : 0.f,
                       words.word[2] >= threshold ? scale : 0.f, words.word[3] >= threshold ? scale : 0.f);
  }

  // The factor of one element; `factors` is cheaper if its neighbors are needed too.
  __device__ __forceinline__ float factor(uint32_t row, uint32_t column) const {
    if (threshold == 0) return 1.f;
    const DropoutPlace at = place(row);
    const PhiloxWords words = dropout_words(state->step.seed, at.step, site, at.row, column >> 2);
    // Selected by comparison: an array indexed at run time would go to local memory.
    const uint32_t word =
        column & 2 ? (column & 1 ? words.word[3] : words.word[2]) : (column & 1 ? words.word[1] : words.word[0]);
    return word >= threshold ? scale : 0.f;
  }
};

}  // namespace bertune::cuda
