// What the operations of one backend share: their stream, the state of the step that runs, the batch, scratch memory.
#pragma once

#include <cstddef>
#include <memory>

#include "core/backend.h"
#include "cuda/check.h"
#include "cuda/device_state.h"
#include "cuda/scratch.h"
#include "cuda/shared_memory.h"
#include "cuda/simt.h"

namespace bertune::cuda {

class Aside;
class Gemm;
class LazyRows;
class MetRows;
class Recordings;
class SegmentTable;

struct Context {
  cudaStream_t stream = nullptr;   // the main one, or that of aside.h
  bool is_aside = false;           // which of them
  DeviceState* state = nullptr;    // device memory
  DeviceState* pending = nullptr;  // device memory: of the step whose update may come after begin_step
  Batch batch;                     // the current one; B, T and max_length are padded
  Scratch scratch;
  const Aside* aside = nullptr;
  Gemm* gemm = nullptr;
  Recordings* recordings = nullptr;
  std::unique_ptr<SegmentTable> segments[kMostVariants];  // those that the optimizer met last, of each variant
  // Of a table of embeddings, whose gradient and updates cover only the rows that tokens met; null: all of them.
  MetRows* met_rows = nullptr;
  LazyRows* lazy_rows = nullptr;
  SharedMemoryLimits shared_memory;
  int multiprocessors = 0;
  bool overlaps = false;  // whether launches may overlap the kernel ahead of them: see simt.h

  RowCount rows(Rows rows) const {
    switch (rows.kind) {
      case RowKind::kTokens:
        return {rows.count, &state->step.T};
      case RowKind::kSequences:
        return {rows.count, &state->step.B};
      default:
        return {rows.count, nullptr};
    }
  }

  // For elements in rows of this kind; `rows_of_row`: how many rows of elements each has: attention has one per head.
  DropoutMask dropout(const Dropout& dropout, RowKind kind, int rows_of_row = 1) const {
    const uint32_t* before = kind == RowKind::kTokens      ? &state->step.tokens_before
                             : kind == RowKind::kSequences ? &state->step.sequences_before
                                                           : nullptr;
    return {state,
            dropout.site,
            dropout_threshold(dropout.p),
            static_cast<float>(1.0 / (1.0 - dropout.p)),
            before,
            static_cast<uint32_t>(rows_of_row),
            kind == RowKind::kTokens      ? batch.token_places
            : kind == RowKind::kSequences ? batch.sequence_places
                                          : nullptr};
  }

  // Launches on the context's stream and checks the launch.
  template <typename... Parameters, typename... Arguments>
  void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes, Arguments&&... arguments) {
    shared_memory.allow(reinterpret_cast<const void*>(kernel), shared_bytes);
    const simt::Order order(stream, overlaps);
    BERTUNE_CUDA(simt::launch(kernel, grid, block, shared_bytes, order, std::forward<Arguments>(arguments)...));
  }
};

inline unsigned ceil_div(int64_t count, int64_t size) { return static_cast<unsigned>((count + size - 1) / size); }

}  // namespace bertune::cuda
