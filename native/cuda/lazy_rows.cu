// An element is at rest if its m is 0. Then p − step_size · 0 / (√v / root_correction2 + eps) is p if eps is positive, and
// an update comes down to p · decay and v · beta2. Most rows of a vocabulary are at rest.
#include "cuda/adamw.cuh"
#include "cuda/aside.h"
#include "cuda/lazy_rows.h"
#include "cuda/memory.h"
#include "cuda/recordings.h"
#include "cuda/row_blocks.cuh"

namespace bertune::cuda {
namespace {

static_assert(kRowColumns == kVector);

constexpr int kVariant = 0;  // variants share a frozen table, so a model whose table trains is the only one

// Whether an update of elements at rest comes down to p · decay and v · beta2.
__device__ __forceinline__ bool lets_rest(const AdamwScalars& s) {
  const auto is_plain = [](float value) { return value >= 0.f && isfinite(value); };
  return is_plain(s.clip) && isfinite(s.decay) && is_plain(s.beta2) && is_plain(s.one_minus_beta1) &&
         is_plain(s.one_minus_beta2) && s.root_correction2 > 0.f && s.eps > 0.f && is_plain(s.step_size);
}

// Whether each m is 0, so that it stays 0, and v a number that moves nothing. Not −0, of which an update makes 0.
__device__ __forceinline__ bool is_at_rest(const Elements<kVector>& elements) {
  bool is = true;
#pragma unroll
  for (int i = 0; i < kVector; ++i) {
    is = is && __float_as_uint(elements.m[i]) == 0 && __float_as_uint(elements.v[i]) <= 0x7F800000u;
  }
  return is;
}

// The updates from the one after `last` up to `end`, with a gradient of 0.
__device__ __forceinline__ void catch_up(Elements<kVector>& elements, const LazyState& state, uint32_t last,
                                         uint32_t end) {
#pragma unroll
  for (int i = 0; i < kVector; ++i) elements.g[i] = 0.f;
  bool rests = is_at_rest(elements);
#pragma unroll 1
  while (last != end) {
    const LazyState::Update& missed = state.history[++last % kLazyHistory];
    if (rests && missed.lets_rest) {
#pragma unroll
      for (int i = 0; i < kVector; ++i) {
        elements.p[i] *= missed.scalars.decay;
        elements.v[i] *= missed.scalars.beta2;
      }
    } else {
      update(elements, missed.scalars);
      rests = is_at_rest(elements);
    }
  }
}

// All but the gradient.
template <typename T>
__device__ __forceinline__ void load_row(Elements<kVector>& elements, const Parameters<T>& at, int column) {
  load_floats<kVector>(elements.m, at.m + column);
  load_floats<kVector>(elements.v, at.v + column);
  load_weights<kVector>(elements.p, at, column);
}

template <typename T>
__device__ __forceinline__ void catch_up_row(const DeviceLazyRows& rows, const DeviceSegment& table, int row,
                                             uint32_t last, uint32_t end) {
  const Parameters<T> parameters(table, static_cast<int64_t>(row) * rows.C);
  for_row_columns(rows.C, [&](int column) {
    Elements<kVector> elements;
    load_row(elements, parameters, column);
    catch_up(elements, *rows.state, last, end);
    store(parameters, column, elements);
  });
}

// Grid: batch.T; block: row_threads(C). A block a token; the first that comes for a row takes it.
template <typename T>
__global__ void __launch_bounds__(256)
    catch_up_kernel(RowCount tokens, const int32_t* ids /* (T) */, DeviceLazyRows rows, DeviceSegment table) {
  simt::wait_for_previous();
  SHARED(last, uint32_t);
  if (static_cast<int>(blockIdx.x) >= tokens.count()) return;
  const int row = ids[blockIdx.x];
  const uint32_t end = rows.state->updates;
  if (threadIdx.x == 0) last = atomicExch(rows.last + row, end);
  __syncthreads();
  if (last != end) catch_up_row<T>(rows, table, row, last, end);
}

// Grid: row_blocks(V); block: row_threads(C).
template <typename T>
__global__ void __launch_bounds__(256, 4) settle_kernel(DeviceLazyRows rows, DeviceSegment table) {
  simt::wait_for_previous();
  const int row = lane_row();
  const uint32_t end = rows.state->updates, last = row < rows.V ? rows.last[row] : end;
  for_lanes(__ballot_sync(kAllLanes, last != end),
            [&](int lane) { catch_up_row<T>(rows, table, block_row(lane), __shfl_sync(kAllLanes, last, lane), end); });
  __syncthreads();
  if (threadIdx.x < 32 && last != end) rows.last[row] = end;
}

// Grid: row_blocks(V); block: row_threads(C). The last block to finish keeps the step's scalars.
template <typename T>
__global__ void __launch_bounds__(256)
    update_rows_kernel(DeviceLazyRows rows, DeviceMetRows met, DeviceSegment table, AdamwConstants constants,
                       const float* loss /* (1) */, DeviceState* state) {
  simt::wait_for_previous();
  if (updates_nothing(state, loss, kVariant)) return;
  const AdamwScalars scalars = scalars_of(constants, state, kVariant, table);
  LazyState& lazy = *rows.state;
  const uint32_t now = lazy.updates + 1;
  const int row = lane_row();
  const bool exists = row < rows.V, is_met = exists && met.has(row);
  const bool takes = is_met || (exists && row % kLazyHistory == now % kLazyHistory);
  const uint32_t last = takes ? rows.last[row] : now;
  for_lanes(__ballot_sync(kAllLanes, takes), [&](int lane) {
    const Parameters<T> parameters(table, static_cast<int64_t>(block_row(lane)) * rows.C);
    const uint32_t row_last = __shfl_sync(kAllLanes, last, lane);
    const bool has_gradient = __shfl_sync(kAllLanes, is_met ? 1 : 0, lane) != 0;
    const float* gradient = table.grad + (has_gradient ? static_cast<int64_t>(met.place(block_row(lane))) * rows.C : 0);
    for_row_columns(rows.C, [&](int column) {
      Elements<kVector> elements;
      load_row(elements, parameters, column);
      catch_up(elements, lazy, row_last, now - 1);
      if (has_gradient) load_floats<kVector>(elements.g, gradient + column);
      update(elements, scalars);
      store(parameters, column, elements);
    });
  });
  __syncthreads();
  if (threadIdx.x < 32 && takes) rows.last[row] = now;
  if (threadIdx.x > 0) return;
  __threadfence();
  if (atomicAdd(&lazy.ticket, 1u) + 1 != gridDim.x) return;
  __threadfence();
  lazy.ticket = 0;
  lazy.history[now % kLazyHistory] = {scalars, lets_rest(scalars)};
  lazy.updates = now;
}

}  // namespace

bool LazyRows::has(MemoryRange memory) const {
  bool has = false;
  for (const MemoryRange& range : ranges_) has = has || memory.overlaps(range);
  return has;
}

template <typename T>
void LazyRows::begin(Context& context, const OptimizerSegment& segment, int V, int C) {
  const DeviceSegment table = device_segment(segment, 0);
  const bool is_same = table.weight == table_.weight && table.master == table_.master && table.m == table_.m &&
                       table.v == table_.v && V == rows_.V && C == rows_.C;
  table_.grad = table.grad;
  table_.rate = table.rate;
  table_.decay = table.decay;
  if (is_same) return;
  if (context.recordings->capturing()) throw Error("INTERNAL", "The optimiser met a new table while it was recorded");
  settle<T>(context, ranges_[0]);
  context.aside->synchronize();
  // What was recorded reads the new table without catching it up.
  context.recordings->forget_graphs();
  ranges_ = {};  // until nothing can fail any more
  table_ = {};
  const size_t state = (sizeof(LazyState) + 63) / 64 * 64;
  memory_.reset(allocate_memory(state + static_cast<size_t>(V) * sizeof(uint32_t), "the last updates of rows"));
  rows_ = {static_cast<LazyState*>(memory_->data()),
           reinterpret_cast<uint32_t*>(static_cast<unsigned char*>(memory_->data()) + state), V, C};
  table_ = table;
  const size_t count = static_cast<size_t>(segment.count);
  ranges_ = {MemoryRange{table.weight, count * sizeof(T)},
             {table.master, table.master ? count * sizeof(uint16_t) : 0},
             {table.m, count * sizeof(float)},
             {table.v, count * sizeof(float)}};
}

template <typename T>
void LazyRows::catch_up(Context& context, const T* table, int V, int C) {
  if (table != table_.weight || V != rows_.V || C != rows_.C) {
    return settle<T>(context, {table, static_cast<size_t>(V) * C * sizeof(T)});
  }
  const Batch& batch = context.batch;
  context.launch(&catch_up_kernel<T>, static_cast<unsigned>(batch.T), row_threads(C), 0,
                 context.rows({RowKind::kTokens, batch.T}), batch.ids, rows_, table_);
}

template <typename T>
void LazyRows::update(Context& context, const DeviceMetRows& met, const AdamwConstants& constants, const float* loss,
                      DeviceState* state) {
  context.launch(&update_rows_kernel<T>, row_blocks(rows_.V), row_threads(rows_.C), 0, rows_, met, table_, constants,
                 loss, state);
}

template <typename T>
void LazyRows::settle(Context& context, MemoryRange memory) {
  if (!has(memory)) return;
  context.launch(&settle_kernel<T>, row_blocks(rows_.V), row_threads(rows_.C), 0, rows_, table_);
}

void LazyRows::forget(MemoryRange memory) {
  if (!has(memory)) return;
  table_ = {};
  ranges_ = {};
}

#define BERTUNE_LAZY_ROWS(T)                                                                             \
  template void LazyRows::catch_up<T>(Context&, const T*, int, int);                                     \
  template void LazyRows::begin<T>(Context&, const OptimizerSegment&, int, int);                         \
  template void LazyRows::update<T>(Context&, const DeviceMetRows&, const AdamwConstants&, const float*, \
                                    DeviceState*);                                                       \
  template void LazyRows::settle<T>(Context&, MemoryRange);
BERTUNE_LAZY_ROWS(float)
BERTUNE_LAZY_ROWS(bf16)
#undef BERTUNE_LAZY_ROWS

}  // namespace bertune::cuda
