#include <algorithm>
#include <utility>
#include <vector>

#include "cuda/memory.h"
#include "cuda/met_rows.h"
#include "cuda/recordings.h"
#include "cuda/row_blocks.cuh"
#include "cuda/scalar.cuh"

namespace bertune::cuda {
namespace {

constexpr int kMeetThreads = 1024;

// Grid 1, block 1024. `sorted` (T): the batch's tokens by (id, index).
__global__ void __launch_bounds__(kMeetThreads)
    meet_kernel(RowCount tokens, const int32_t* ids /* (T) */, const int32_t* sorted, int skip, bool accumulate,
                DeviceMetRows rows) {
  simt::wait_for_previous();
  const int count = tokens.count();
  if (threadIdx.x == 0) {
    rows.tokens->batch = rows.tokens->last + 1;
    rows.tokens->last += count;
    if (!accumulate) rows.tokens->gradient = rows.tokens->batch;
  }
  __syncthreads();
  for (int place = static_cast<int>(threadIdx.x); place < count; place += kMeetThreads) {
    const int row = ids[sorted[place]];
    const bool is_first = place == 0 || ids[sorted[place - 1]] != row;
    if (is_first && row != skip && !rows.has(row)) rows.first_met[row] = rows.tokens->batch + place;
  }
}

// Grid: row_blocks(V); block: row_threads(C).
__global__ void __launch_bounds__(256) fill_rows_kernel(DeviceMetRows rows, float* gradient /* (V,C) */) {
  simt::wait_for_previous();
  const int row = lane_row();
  const bool takes = row < rows.V && !rows.has(row);
  for_lanes(__ballot_sync(kAllLanes, takes), [&](int lane) {
    float* to = gradient + static_cast<int64_t>(block_row(lane)) * rows.C;
    for_row_columns(rows.C, [&](int column) {
      const float zeros[kRowColumns] = {};
      store_floats<kRowColumns>(to + column, zeros);
    });
  });
  __syncthreads();
  if (threadIdx.x < 32 && takes) rows.first_met[row] = rows.tokens->last;
}

}  // namespace

bool MetRows::suits(int V, int C) { return C % kRowColumns == 0 && static_cast<int64_t>(V) * C <= INT32_MAX; }
bool MetRows::suits(const Acc* grad, int V, int C) {
  return grad != nullptr && suits(V, C) && is_vectorizable<kRowColumns>(floats(grad), C, C);
}

void MetRows::know(Context& context, const EmbeddingBackward& args) {
  if (args.dword == grad_ && args.V == rows_.V && args.C == rows_.C) return;
  if (context.recordings->capturing()) throw Error("INTERNAL", "A new table of embeddings was met during a recording");
  fill(context, range());
  grad_ = nullptr;  // until nothing can fail any more
  // Zeros say that all rows were met: by token 0, which assigned the gradient.
  const bool is_compact = args.word_rows < args.V;
  BERTUNE_CHECK(!(is_compact && args.accumulate));
  BERTUNE_CUDA(cudaStreamSynchronize(context.stream));
  const size_t tokens = 64;  // bytes, for alignment
  memory_.reset(allocate_memory(tokens + static_cast<size_t>(args.V) * sizeof(uint64_t), "the rows of a gradient"));
  rows_ = {static_cast<DeviceMetRows::Tokens*>(memory_->data()),
           reinterpret_cast<uint64_t*>(static_cast<unsigned char*>(memory_->data()) + tokens), args.V, args.C,
           is_compact};
  grad_ = args.dword;
  bytes_of_grad_ = static_cast<size_t>(args.word_rows) * args.C * sizeof(float);
}

void MetRows::meet(Context& context, const EmbeddingBackward& args) {
  know(context, args);
  const Batch& batch = context.batch;
  context.launch(&meet_kernel, 1, kMeetThreads, 0, context.rows({RowKind::kTokens, batch.T}), batch.ids,
                 batch.tokens_by_id, args.padding_id, args.accumulate, rows_);
}

int MetRows::find(const OptimizerSegment* segments, int count) const {
  const auto is_known = [&](const OptimizerSegment& segment) {
    return grad_ != nullptr && segment.grad == grad_ && segment.count == static_cast<int64_t>(rows_.V) * rows_.C;
  };
  int s = 0;
  while (s < count && !is_known(segments[s])) ++s;
  return s;
}

MemoryRange MetRows::range() const { return {grad_, grad_ ? bytes_of_grad_ : 0}; }

void MetRows::read_places(Context& context, int32_t* places, const Acc* gradient, int V) const {
  std::fill_n(places, V, -1);
  if (gradient != grad_ || V != rows_.V) return;
  DeviceMetRows::Tokens tokens;
  std::vector<uint64_t> first_met(V);
  BERTUNE_CUDA(cudaMemcpyAsync(&tokens, rows_.tokens, sizeof tokens, cudaMemcpyDeviceToHost, context.stream));
  BERTUNE_CUDA(cudaMemcpyAsync(first_met.data(), rows_.first_met, first_met.size() * sizeof(uint64_t),
                               cudaMemcpyDeviceToHost, context.stream));
  BERTUNE_CUDA(cudaStreamSynchronize(context.stream));
  for (int row = 0; row < V; ++row) {
    if (first_met[row] >= tokens.gradient) places[row] = static_cast<int32_t>(first_met[row] - tokens.gradient);
  }
}

void MetRows::fill(Context& context, MemoryRange memory) {
  if (rows_.is_compact || !memory.overlaps(range())) return;
  context.launch(&fill_rows_kernel, row_blocks(rows_.V), row_threads(rows_.C), 0, rows_,
                 reinterpret_cast<float*>(const_cast<Acc*>(grad_)));
}

void MetRows::forget(MemoryRange memory) {
  if (memory.overlaps(range())) grad_ = nullptr;
}

}  // namespace bertune::cuda
