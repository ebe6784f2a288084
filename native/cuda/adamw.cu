// The optimiser: global gradient norm, clipping and AdamW (Loshchilov & Hutter, "Decoupled Weight Decay
// Regularization", 2019), with the order of operations of torch.optim.AdamW:
//
//   g = grad · min(1, max_grad_norm / (norm + 1e-6))
//   p = p · (1 − lr · weight_decay)
//   m = m + (1 − beta1) · (g − m)
//   v = v · beta2 + (1 − beta2) · g · g
//   p = p − lr / (1 − beta1^t) · m / (√v / √(1 − beta2^t) + eps)
//
// with lr the step's learning rate times the segment's. p is the weight itself in float; in bf16 it is put together from the weight and its low bits (weights.h), and split
// again. Both kernels go over all segments in one launch, in chunks of SegmentTable::kChunk elements, and are bound by
// memory: 4 bytes an element for the norm, 28 for the update. Of an embedding table only the rows that tokens met are
// summed and updated: the others' gradients are 0, and lazy_rows.h updates them later.
#include <algorithm>
#include <cmath>

#include "cuda/adamw.cuh"
#include "cuda/kept.cuh"
#include "cuda/lazy_rows.h"
#include "cuda/operations.h"

namespace bertune::cuda {
namespace {

constexpr int kChunkThreads = 256;
constexpr int kNormBlocksPerSm = 8;  // that fit at once
constexpr int kChunk = SegmentTable::kChunk;

// A chunk: `length` elements of its segment from `begin` on.
struct Chunk {
  const DeviceSegment* segment;
  int64_t begin;
  int length;
};

__device__ __forceinline__ Chunk chunk_at(const DeviceSegment* segments, const int32_t* chunk_segments, int chunk) {
  const DeviceSegment* segment = segments + chunk_segments[chunk];
  const int64_t begin = static_cast<int64_t>(chunk - segment->first_chunk) * kChunk;
  const int64_t left = segment->count - begin;
  return {segment, begin, static_cast<int>(left < kChunk ? left : kChunk)};
}

// The norm

// Four sums, so that each is over few terms and no addition waits for the one before.
struct SquareSums {
  float lane[kVector] = {};

  __device__ __forceinline__ void add(const float (&values)[kVector]) {
#pragma unroll
    for (int i = 0; i < kVector; ++i) lane[i] += values[i] * values[i];
  }
  __device__ __forceinline__ float total() const { return (lane[0] + lane[1]) + (lane[2] + lane[3]); }
};

__device__ __forceinline__ void add_squares(SquareSums& sums, const float* grad, int length) {
  constexpr int kAtOnce = 4;
  const int thread = static_cast<int>(threadIdx.x);
  const int vectors = is_aligned(grad, sizeof(float) * kVector) ? length / kVector : 0;
  for (int first = thread; first < vectors; first += kAtOnce * kChunkThreads) {
    float values[kAtOnce][kVector] = {};
#pragma unroll
    for (int u = 0; u < kAtOnce; ++u) {
      const int vector = first + u * kChunkThreads;
      if (vector < vectors) load_floats<kVector>(values[u], grad + vector * kVector);
    }
#pragma unroll
    for (int u = 0; u < kAtOnce; ++u) sums.add(values[u]);
  }
  for (int i = vectors * kVector + thread; i < length; i += kChunkThreads) sums.lane[0] += grad[i] * grad[i];
}

// Of a gradient of which only the rows in `met` are not zero, with the same bits as if all were read.
__device__ __forceinline__ void add_squares_of_met(SquareSums& sums, const Chunk& chunk, const DeviceMetRows& met) {
  for (int i = static_cast<int>(threadIdx.x) * kVector; i < chunk.length; i += kChunkThreads * kVector) {
    const int at = static_cast<int>(chunk.begin) + i, row = at / met.C;
    if (!met.has(row)) continue;
    float values[kVector];
    load_floats<kVector>(values, chunk.segment->grad + (met.place(row) * met.C + at - row * met.C));
    sums.add(values);
  }
}

// All threads get the sum; `shared` holds kChunkThreads doubles.
__device__ __forceinline__ double block_sum_of_doubles(double value, double* shared) {
  const int thread = static_cast<int>(threadIdx.x);
  shared[thread] = value;
  __syncthreads();
  for (int half = kChunkThreads / 2; half > 0; half /= 2) {
    if (thread < half) shared[thread] += shared[thread + half];
    __syncthreads();
  }
  const double sum = shared[0];
  __syncthreads();  // `shared` can be used again
  return sum;
}

// `halted` stays what it is.
__device__ __forceinline__ void put_off_update(DeviceState& pending, const DeviceState& state, int variant,
                                               float loss) {
  pending.step = state.step;
  pending.grad_norm[variant] = state.grad_norm[variant];
  pending.loss = loss;
  pending.is_updated = 0;
}

// Grid: as many blocks as fit at once, at most one a chunk; block: kChunkThreads. Block b sums the squares of chunks b,
// b + blocks, ... into partials (blocks); the last block to finish adds these in order, and keeps what is to be kept.
// ticket (1) zero, norm (1). `table`: the segment whose gradient is zero except in the rows `met`, or null. `pending`: gets
// what the step's update needs; or null.
__global__ void __launch_bounds__(kChunkThreads, kNormBlocksPerSm)
    grad_norm_kernel(const DeviceSegment* segments, const int32_t* chunk_segments, int chunks, double* partials,
                     unsigned* ticket, float* norm, int variant, const DeviceSegment* table, DeviceMetRows met,
                     Kept kept, DeviceState* state, DeviceState* pending) {
  simt::wait_for_previous();
  SHARED(shared, double[kChunkThreads]);
  SHARED(is_last, bool);
  const int thread = static_cast<int>(threadIdx.x), blocks = static_cast<int>(gridDim.x);
  SquareSums sums;
  for (int i = static_cast<int>(blockIdx.x); i < chunks; i += blocks) {
    const Chunk chunk = chunk_at(segments, chunk_segments, i);
    if (chunk.segment == table) {
      add_squares_of_met(sums, chunk, met);
    } else {
      add_squares(sums, chunk.segment->grad + chunk.begin, chunk.length);
    }
  }
  const double sum = block_sum_of_doubles(sums.total(), shared);
  if (thread == 0) {
    partials[blockIdx.x] = sum;
    __threadfence();
    is_last = atomicAdd(ticket, 1u) + 1 == gridDim.x;
    __threadfence();
  }
  __syncthreads();
  if (!is_last) return;
  double rest = 0;
  for (int i = thread; i < blocks; i += kChunkThreads) rest += partials[i];
  const double total = block_sum_of_doubles(rest, shared);
  if (thread == 0) {
    *ticket = 0;
    *norm = state->grad_norm[variant] = static_cast<float>(sqrt(total));
    if (pending != nullptr) put_off_update(*pending, *state, variant, *kept.loss);
  }
  if (kept.losses != nullptr) keep(kept, state->step);
}

// AdamW

// Grid: a block a chunk, from first_chunk on, but for those to skip; block: kChunkThreads. loss (1).
template <typename T>
__global__ void __launch_bounds__(kChunkThreads, sizeof(T) == sizeof(float) ? 4 : 3)
    adamw_kernel(const DeviceSegment* segments, const int32_t* chunk_segments, int first_chunk, ChunkRange skip,
                 AdamwConstants constants, const float* loss, int variant, DeviceState* state) {
  simt::wait_for_previous();
  constexpr int kAtOnce = 2;
  const int thread = static_cast<int>(threadIdx.x);
  const int place = first_chunk + static_cast<int>(blockIdx.x);
  const Chunk chunk = chunk_at(segments, chunk_segments, place < skip.first ? place : place + skip.count);
  if (updates_nothing(state, loss, variant)) return;
  const AdamwScalars scalars = scalars_of(constants, state, variant, *chunk.segment);
  const Parameters<T> parameters(*chunk.segment, chunk.begin);
  const int vectors = parameters.are_vectorizable() ? chunk.length / kVector : 0;
  for (int first = thread; first < vectors; first += kAtOnce * kChunkThreads) {
    Elements<kVector> elements[kAtOnce] = {};
#pragma unroll
    for (int u = 0; u < kAtOnce; ++u) {
      const int vector = first + u * kChunkThreads;
      if (vector < vectors) load(elements[u], parameters, vector * kVector);
    }
#pragma unroll
    for (int u = 0; u < kAtOnce; ++u) {
      const int vector = first + u * kChunkThreads;
      update(elements[u], scalars);
      if (vector < vectors) store(parameters, vector * kVector, elements[u]);
    }
  }
  for (int i = vectors * kVector + thread; i < chunk.length; i += kChunkThreads) {
    Elements<1> element;
    load(element, parameters, i);
    update(element, scalars);
    store(parameters, i, element);
  }
}

// Grid 1, block 1.
__global__ void updated_kernel(DeviceState* pending) {
  simt::wait_for_previous();
  pending->is_updated = 1;
}

// Before the segment is updated as a whole.
template <typename T>
void settle(Context& context, const OptimizerSegment& segment) {
  const size_t count = static_cast<size_t>(segment.count);
  context.lazy_rows->settle<T>(context, {segment.weight, count * sizeof(T)});
  context.lazy_rows->settle<T>(context, {segment.m, count * sizeof(float)});
  context.lazy_rows->settle<T>(context, {segment.v, count * sizeof(float)});
}

// The segment is the table whose rows are known.
template <typename T>
void begin_late_updates(Context& context, const OptimizerSegment& segment) {
  const DeviceMetRows& met = context.met_rows->rows();
  context.lazy_rows->begin<T>(context, segment, met.V, met.C);
}

}  // namespace

template <typename T>
void grad_norm(Context& context, const GradNorm& args) {
  const SegmentTable& segments = segment_table(context, args.segments, args.count, args.variant);
  const int most = std::max(context.multiprocessors, 1) * kNormBlocksPerSm;
  const int blocks = std::clamp(segments.chunks(), 1, most);
  // Doubles in the scratch of floats, which is aligned for them.
  double* partials = reinterpret_cast<double*>(context.scratch.floats(2 * static_cast<size_t>(blocks)));
  const int table = context.met_rows ? context.met_rows->find(args.segments, args.count) : args.count;
  const bool has_table = table < args.count;
  context.launch(
      &grad_norm_kernel, blocks, kChunkThreads, 0, segments.segments(), segments.chunk_segments(), segments.chunks(),
      partials, context.scratch.tickets(1), floats(args.norm), args.variant,
      has_table ? segments.segments() + table : nullptr, has_table ? context.met_rows->rows() : DeviceMetRows{},
      args.keep ? kept_of(context, *args.keep) : Kept{}, context.state, args.defers ? context.pending : nullptr);
  // Not when the update is made: that may be recorded.
  if (args.defers && has_table) begin_late_updates<T>(context, args.segments[table]);
}

template <typename T>
void adamw(Context& context, const AdamW& args) {
  const SegmentTable& segments = segment_table(context, args.segments, args.count, args.variant);
  const OptimizerSettings& settings = args.settings;
  const AdamwConstants constants = {.log_beta1 = static_cast<float>(std::log(settings.beta1)),
                                    .log_beta2 = static_cast<float>(std::log(settings.beta2)),
                                    .beta2 = static_cast<float>(settings.beta2),
                                    .one_minus_beta1 = static_cast<float>(1 - settings.beta1),
                                    .one_minus_beta2 = static_cast<float>(1 - settings.beta2),
                                    .eps = static_cast<float>(settings.eps),
                                    .weight_decay = static_cast<float>(settings.weight_decay),
                                    .max_grad_norm = static_cast<float>(settings.max_grad_norm)};
  DeviceState* state = args.deferred ? context.pending : context.state;
  const float* loss = args.deferred ? &state->loss : floats(args.loss);
  const int begin = args.deferred ? args.begin : 0, end = args.deferred ? args.end : args.count;
  const int table = context.met_rows ? context.met_rows->find(args.segments, args.count) : args.count;
  const bool has_table = begin <= table && table < end;
  for (int s = begin; context.lazy_rows && s < end; ++s) {
    if (s != table) settle<T>(context, args.segments[s]);
  }
  if (has_table) begin_late_updates<T>(context, args.segments[table]);
  const ChunkRange skip = has_table ? segments.chunks_of(table) : ChunkRange{segments.chunks(), 0};
  const int first_chunk = segments.first_chunk(begin);
  const int chunks = segments.first_chunk(end) - first_chunk - skip.count;
  if (chunks > 0) {
    context.launch(&adamw_kernel<T>, chunks, kChunkThreads, 0, segments.segments(), segments.chunk_segments(),
                   first_chunk, skip, constants, loss, args.variant, state);
  }
  if (has_table) context.lazy_rows->update<T>(context, context.met_rows->rows(), constants, loss, state);
  if (args.last) context.launch(&updated_kernel, 1, 1, 0, state);
}

template void grad_norm<float>(Context&, const GradNorm&);
template void grad_norm<bf16>(Context&, const GradNorm&);
template void adamw<float>(Context&, const AdamW&);
template void adamw<bf16>(Context&, const AdamW&);

}  // namespace bertune::cuda
