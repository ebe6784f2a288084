// Packs the step's batch, examples order[order_begin .. order_begin + B) of its data set, end to end.
//
//   cu_seqlens[b + 1] = cu_seqlens[b] + length of example b;  token t is place t − cu_seqlens[b] of its sequence b
//   labels (B) and targets (B,NC) are those of the examples, zero behind them
//   token_places (T), sequence_places (B): where the batch is of several micro-batches, places in those
//   tokens_by_id, tokens_by_position: a token's place is the number of tokens before it, by (key, index)
//
// One launch: every block adds the lengths up for itself, in shared memory, and finds each token's sequence by
// bisection. Only where there are more sequences than fit does a launch before it add the lengths up in cu_seqlens.
// Tokens before a token are counted: by id, and by a position that the data set gives, over all tokens, tile by tile;
// by place over all sequences, since a sequence of n tokens has min(n, place) tokens of lower places.
//
// Larger batches are counted window by window, and further launches merge the windows, 16 at a time, a token's place
// in another one by bisection: work grows as T log T. No order but one is right, so that none depends on windows.
#include <utility>

#include "cuda/operations.h"
#include "cuda/reduce.cuh"
#include "cuda/scalar.cuh"

namespace bertune::cuda {
namespace {

constexpr int kGatherThreads = 256;
constexpr int kGatherWarps = kGatherThreads / 32;
constexpr int kLanes = 8;  // of a token, which count a part each
constexpr int kTokens = kGatherThreads / kLanes;
constexpr int kTile = 512;            // ids or positions in shared memory at a time
constexpr int kMostSequences = 2048;  // whose starts fit shared memory
constexpr int kWindow = 2048;         // tokens among which a token is counted, a multiple of kTokens
constexpr int kRuns = 16;             // sorted runs that are merged into one

// The step's examples: all that is read of the step, once.
struct Source : Examples {
  int B;
  const int32_t* own;  // (B) the part of `order` that the step takes

  __device__ __forceinline__ explicit Source(const DeviceState* state)
      : Examples(state->step.examples), B(state->step.B), own(order + state->step.order_begin) {}
};

// starts[b] = Σ lengths of the examples before b, for b ≤ padded; examples behind the live ones are empty. By a whole
// block.
__device__ __forceinline__ void add_lengths(const Source& source, int padded, int32_t* starts) {
  SHARED(totals, int32_t[kGatherWarps]);
  const int thread = static_cast<int>(threadIdx.x), lane = thread & 31, warp = thread >> 5;
  int32_t before = 0;
  if (thread == 0) starts[0] = 0;
  for (int first = 0; first < padded; first += kGatherThreads) {
    const int b = first + thread;
    int32_t sum = 0;
    if (b < source.B) {
      const int32_t* offset = source.offsets + source.own[b];
      sum = offset[1] - offset[0];
    }
#pragma unroll
    for (int distance = 1; distance < 32; distance <<= 1) {
      const int32_t other = __shfl_up_sync(kAllLanes, sum, distance);
      if (lane >= distance) sum += other;
    }
    __syncthreads();  // the totals of the tile before may still be read
    if (lane == 31) totals[warp] = sum;
    __syncthreads();
    int32_t total = 0;
#pragma unroll
    for (int i = 0; i < kGatherWarps; ++i) {
      if (i < warp) sum += totals[i];
      total += totals[i];
    }
    if (b < padded) starts[b + 1] = before + sum;
    before += total;
  }
  __syncthreads();
}

// Grid: 1; block: 256.
__global__ void add_lengths_kernel(const DeviceState* state, int padded, int32_t* cu_seqlens /* (padded + 1) */) {
  simt::wait_for_previous();
  add_lengths(Source(state), padded, cu_seqlens);
}

// The sequence of token t < starts[B].
__device__ __forceinline__ int sequence_of(int t, int B, const int32_t* starts) {
  int low = 0, high = B;  // starts[low] <= t < starts[high]
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (starts[middle] <= t) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return low;
}

__device__ __forceinline__ int sum_of_lanes(int count) {
#pragma unroll
  for (int offset = kLanes / 2; offset > 0; offset >>= 1) count += __shfl_xor_sync(kAllLanes, count, offset);
  return count;
}

// Tokens (T) sorted by id and by position, or by windows or runs so far.
struct Orders {
  int32_t* by_id;
  int32_t* by_position;
};

// Grid: ceil(batch.T / 32), at least 1; block: 256, 8 lanes a token. Shared memory: batch.B + 1 starts, or none where
// cu_seqlens is filled already. `sorted` are the batch's, or those to merge.
template <bool kHasStarts>
__global__ void pack_kernel(const DeviceState* state, GatherBatch args, Orders sorted) {
  simt::wait_for_previous();
  const Batch& batch = args.batch;
  DYN_SHARED(shared);
  SHARED(tile, int32_t[kTile]);
  const int thread = static_cast<int>(threadIdx.x);
  const Source source(state);
  const int B = source.B;
  int32_t* starts = batch.cu_seqlens;
  if constexpr (!kHasStarts) {
    starts = shared.take<int32_t>(batch.B + 1);
    add_lengths(source, batch.B, starts);
  }
  // Of a sequence, or of its token t.
  const auto dropout_place = [&](int b, int t, bool token) -> DropoutPlace {
    const int micro = b / args.micro_batch, first = micro * args.micro_batch;
    return {token ? state->step.tokens_before + static_cast<uint32_t>(t - starts[first])
                  : state->step.sequences_before + static_cast<uint32_t>(b - first),
            state->step.dropout_step + (args.are_parts ? 0u : static_cast<uint32_t>(micro))};
  };
  if (blockIdx.x == 0) {
    for (int b = thread; b <= batch.B; b += kGatherThreads) {
      if constexpr (!kHasStarts) batch.cu_seqlens[b] = starts[b];
      if (source.labels && b < batch.B) batch.labels[b] = b < B ? source.labels[source.own[b]] : 0;
      if (batch.sequence_places && b < batch.B) batch.sequence_places[b] = dropout_place(b, 0, false);
    }
  }

  if (source.targets && batch.targets) {
    const float* all_targets = floats(source.targets);
    float* targets = floats(batch.targets);
    const int64_t NC = args.NC, step = static_cast<int64_t>(gridDim.x) * kGatherThreads;
    for (int64_t i = static_cast<int64_t>(blockIdx.x) * kGatherThreads + thread; i < batch.B * NC; i += step) {
      const int b = static_cast<int>(i / NC);
      targets[i] = b < B ? all_targets[source.own[b] * NC + i % NC] : 0.f;
    }
  }

  const int T = starts[B];
  // Where the token is in the data set.
  const auto place_of = [&](int t, int b) { return source.offsets[source.own[b]] + t - starts[b]; };
  const int t = static_cast<int>(blockIdx.x) * kTokens + thread / kLanes, lane = thread % kLanes;
  const bool live = t < T;
  int sequence = 0, place = 0;
  int32_t id = 0, position = 0;
  if (live) {
    sequence = sequence_of(t, B, starts);
    place = t - starts[sequence];
    const int from = place_of(t, sequence);
    id = source.ids[from];
    position = source.positions ? source.positions[from] : place;
    if (lane == 0) {
      batch.ids[t] = id;
      batch.token_types[t] = source.token_types ? source.token_types[from] : 0;
      batch.positions[t] = position;
      if (batch.token_places) batch.token_places[t] = dropout_place(sequence, t, true);
    }
  } else if (t < batch.T && lane == 0) {
    batch.ids[t] = batch.token_types[t] = batch.positions[t] = 0;
    if (batch.token_places) batch.token_places[t] = {0, 0};
    if (args.sort_tokens) batch.tokens_by_id[t] = batch.tokens_by_position[t] = 0;
  }
  if (!args.sort_tokens) return;

  const int begin = static_cast<int>(blockIdx.x) * kTokens / kWindow * kWindow, end = min(begin + kWindow, T);
  // Tokens of the window before t by (value, index), `own` its value in values (Σ lengths) of the data set.
  const auto tokens_before = [&](const int32_t* values, int32_t own) {
    int before = 0;
    for (int first = begin; first < end; first += kTile) {
      const int count = min(kTile, end - first);
      __syncthreads();  // the tile before may still be read
      for (int i = thread; i < count; i += kGatherThreads) {
        const int other = first + i;
        tile[i] = values[place_of(other, sequence_of(other, B, starts))];
      }
      __syncthreads();
      // Of equal values, those of tokens before t are smaller.
#pragma unroll 4
      for (int i = lane; i < count; i += kLanes) before += tile[i] < own + (first + i < t ? 1 : 0) ? 1 : 0;
    }
    return sum_of_lanes(before);
  };

  int lower = 0;
  if (source.positions) {
    lower = tokens_before(source.positions, position);
  } else {
    for (int b = sequence_of(begin, B, starts) + lane; b < B && starts[b] < end; b += kLanes) {
      // Its places in the window.
      const int low = max(begin - starts[b], 0), high = min(end, starts[b + 1]) - starts[b];
      lower += max(min(place, high) - low, 0) + (b < sequence && low <= place && place < high ? 1 : 0);
    }
    lower = sum_of_lanes(lower);
  }
  if (live && lane == 0) sorted.by_position[begin + lower] = t;

  const int smaller = tokens_before(source.ids, id);
  if (live && lane == 0) sorted.by_id[begin + smaller] = t;
}

// Merges each kRuns neighbouring runs of `run` places, the last ones of what is left: those of a lower run come first
// among equals. Grid: (ceil(padded T / 32), 2); block: 256, 8 lanes a place.
__global__ void merge_runs_kernel(RowCount tokens, int run, const int32_t* ids, const int32_t* positions, Orders from,
                                  Orders to) {
  simt::wait_for_previous();
  const bool by_id = blockIdx.y == 0;
  const int32_t* keys = by_id ? ids : positions;
  const int32_t* inp = by_id ? from.by_id : from.by_position;
  int32_t* out = by_id ? to.by_id : to.by_position;
  const int T = tokens.count(), thread = static_cast<int>(threadIdx.x);
  const int place = static_cast<int>(blockIdx.x) * kTokens + thread / kLanes, lane = thread % kLanes;
  const int own = place / run * run, first = place / run / kRuns * kRuns * run;
  const bool live = place < T;
  int token = 0, before = 0;
  if (live) {
    token = inp[place];
    const int32_t key = keys[token];
    for (int begin = first + lane * run; begin < min(first + kRuns * run, T); begin += kLanes * run) {
      int low = begin == own ? place : begin, high = begin == own ? place : min(begin + run, T);
      while (low < high) {
        const int middle = (low + high) / 2;
        if (keys[inp[middle]] < key + (begin < own ? 1 : 0)) {
          low = middle + 1;
        } else {
          high = middle;
        }
      }
      before += low - begin;
    }
  }
  before = sum_of_lanes(before);
  if (live && lane == 0) out[first + before] = token;
}

}  // namespace

template <typename T>
void gather_batch(Context& context, const GatherBatch& args) {
  const Batch& batch = args.batch;
  const unsigned blocks = ceil_div(batch.T > 0 ? batch.T : 1, kTokens);
  // The last of the merges writes the batch's orders, and each reads what the one before it wrote.
  Orders to{batch.tokens_by_id, batch.tokens_by_position}, from = to;
  int merges = 0;
  for (int64_t run = kWindow; args.sort_tokens && run < batch.T; run *= kRuns) ++merges;
  if (merges > 0) {
    int32_t* scratch = reinterpret_cast<int32_t*>(context.scratch.floats(2 * static_cast<size_t>(batch.T)));
    from = {scratch, scratch + batch.T};
  }
  if (merges % 2 == 0) std::swap(from, to);

  if (batch.B <= kMostSequences) {
    context.launch(pack_kernel<false>, blocks, kGatherThreads, simt::smem_bytes<int32_t>(batch.B + 1), context.state,
                   args, from);
  } else {
    context.launch(add_lengths_kernel, 1, kGatherThreads, 0, context.state, batch.B, batch.cu_seqlens);
    context.launch(pack_kernel<true>, blocks, kGatherThreads, 0, context.state, args, from);
  }
  int run = kWindow;
  for (int i = 0; i < merges; ++i, run *= kRuns) {
    context.launch(merge_runs_kernel, dim3(blocks, 2), kGatherThreads, 0, context.rows({RowKind::kTokens, batch.T}),
                   run, batch.ids, batch.positions, from, to);
    std::swap(from, to);
  }
  context.batch = batch;
}

template void gather_batch<float>(Context&, const GatherBatch&);
template void gather_batch<bf16>(Context&, const GatherBatch&);

}  // namespace bertune::cuda
