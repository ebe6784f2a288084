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
// memory: 4 bytes an element for the norm, 28 for the update.
#include <algorithm>
#include <cfloat>
#include <cmath>

#include "cuda/kept.cuh"
#include "cuda/master.cuh"
#include "cuda/operations.h"
#include "cuda/scalar.cuh"
#include "cuda/segments.h"

namespace bertune::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kVector = 4;           // elements of an access
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

__device__ __forceinline__ bool is_aligned(const void* pointer, unsigned bytes) {
  return reinterpret_cast<uintptr_t>(pointer) % bytes == 0;
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
  for (int first = thread; first < vectors; first += kAtOnce * kThreads) {
    float values[kAtOnce][kVector] = {};
#pragma unroll
    for (int u = 0; u < kAtOnce; ++u) {
      const int vector = first + u * kThreads;
      if (vector < vectors) load_floats<kVector>(values[u], grad + vector * kVector);
    }
#pragma unroll
    for (int u = 0; u < kAtOnce; ++u) sums.add(values[u]);
  }
  for (int i = vectors * kVector + thread; i < length; i += kThreads) sums.lane[0] += grad[i] * grad[i];
}

// All threads get the sum; `shared` holds kThreads doubles.
__device__ __forceinline__ double block_sum_of_doubles(double value, double* shared) {
  const int thread = static_cast<int>(threadIdx.x);
  shared[thread] = value;
  __syncthreads();
  for (int half = kThreads / 2; half > 0; half /= 2) {
    if (thread < half) shared[thread] += shared[thread + half];
    __syncthreads();
  }
  const double sum = shared[0];
  __syncthreads();  // `shared` can be used again
  return sum;
}

// Grid: as many blocks as fit at once, at most one a chunk; block: kThreads. Block b sums the squares of chunks b,
// b + blocks, ... into partials (blocks); the last block to finish adds these in order, and keeps what is to be kept.
// ticket (1) zero, norm (1).
__global__ void __launch_bounds__(kThreads, kNormBlocksPerSm)
    grad_norm_kernel(const DeviceSegment* segments, const int32_t* chunk_segments, int chunks, double* partials,
                     unsigned* ticket, float* norm, int variant, Kept kept, DeviceState* state) {
  SHARED(shared, double[kThreads]);
  SHARED(is_last, bool);
  const int thread = static_cast<int>(threadIdx.x), blocks = static_cast<int>(gridDim.x);
  SquareSums sums;
  for (int i = static_cast<int>(blockIdx.x); i < chunks; i += blocks) {
    const Chunk chunk = chunk_at(segments, chunk_segments, i);
    add_squares(sums, chunk.segment->grad + chunk.begin, chunk.length);
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
  for (int i = thread; i < blocks; i += kThreads) rest += partials[i];
  const double total = block_sum_of_doubles(rest, shared);
  if (thread == 0) {
    *ticket = 0;
    *norm = state->grad_norm[variant] = static_cast<float>(sqrt(total));
  }
  if (kept.losses != nullptr) keep(kept, state->step);
}

// AdamW

// What does not change from step to step.
struct Settings {
  float log_beta1, log_beta2;
  float beta2, one_minus_beta1, one_minus_beta2;
  float eps, weight_decay, max_grad_norm;
};

// The formula's scalars, the same for all elements of a segment.
struct Scalars {
  float clip, decay, beta2, one_minus_beta1, one_minus_beta2, root_correction2, eps, step_size;
};

__device__ __forceinline__ Scalars scalars_of(const Settings& settings, const DeviceState* state, int variant,
                                              const DeviceSegment& segment) {
  const float lr = static_cast<float>(state->step.learning_rates[variant] * segment.rate);
  const float t = static_cast<float>(state->step.step);
  // 1 − beta^t, exact where beta^t is close to 1.
  const float correction1 = -expm1f(t * settings.log_beta1), correction2 = -expm1f(t * settings.log_beta2);
  Scalars scalars;
  scalars.clip =
      settings.max_grad_norm > 0.f ? fminf(1.f, settings.max_grad_norm / (state->grad_norm[variant] + 1e-6f)) : 1.f;
  scalars.decay = segment.decay != 0 ? 1.f - lr * settings.weight_decay : 1.f;
  scalars.beta2 = settings.beta2;
  scalars.one_minus_beta1 = settings.one_minus_beta1;
  scalars.one_minus_beta2 = settings.one_minus_beta2;
  scalars.root_correction2 = sqrtf(correction2);
  scalars.eps = settings.eps;
  scalars.step_size = lr / correction1;
  return scalars;
}

template <typename T>
struct Parameters {
  T* weight;      // (length)
  uint16_t* low;  // (length), unused in float
  const float* grad;
  float* m;
  float* v;

  __device__ __forceinline__ Parameters(const Chunk& chunk)
      : weight(static_cast<T*>(chunk.segment->weight) + chunk.begin),
        low(static_cast<uint16_t*>(chunk.segment->master) + chunk.begin),
        grad(chunk.segment->grad + chunk.begin),
        m(chunk.segment->m + chunk.begin),
        v(chunk.segment->v + chunk.begin) {}

  __device__ __forceinline__ bool are_vectorizable() const {
    return is_aligned(weight, sizeof(T) * kVector) &&
           (sizeof(T) == sizeof(float) || is_aligned(low, sizeof(uint16_t) * kVector)) &&
           is_aligned(grad, sizeof(float) * kVector) && is_aligned(m, sizeof(float) * kVector) &&
           is_aligned(v, sizeof(float) * kVector);
  }
};

// N neighbours, in registers.
template <int N>
struct Elements {
  float p[N], g[N], m[N], v[N];
};

template <int N>
__device__ __forceinline__ void load_weights(float (&p)[N], const Parameters<float>& at, int i) {
  load_floats<N>(p, at.weight + i);
}
template <int N>
__device__ __forceinline__ void store_weights(const Parameters<float>& at, int i, const float (&p)[N]) {
  store_floats<N>(at.weight + i, p);
}

template <int N>
__device__ __forceinline__ void load_weights(float (&p)[N], const Parameters<bf16>& at, int i) {
  const auto weights = *reinterpret_cast<const Pack<uint16_t, N>*>(at.weight + i);
  const auto lows = *reinterpret_cast<const Pack<uint16_t, N>*>(at.low + i);
#pragma unroll
  for (int j = 0; j < N; ++j) p[j] = __uint_as_float(join_weight(weights.value[j], lows.value[j]));
}
template <int N>
__device__ __forceinline__ void store_weights(const Parameters<bf16>& at, int i, const float (&p)[N]) {
  Pack<uint16_t, N> weights, lows;
#pragma unroll
  for (int j = 0; j < N; ++j) {
    uint32_t bits = __float_as_uint(p[j]);
    weights.value[j] = split_weight(bits);
    lows.value[j] = static_cast<uint16_t>(bits);
  }
  *reinterpret_cast<Pack<uint16_t, N>*>(at.weight + i) = weights;
  *reinterpret_cast<Pack<uint16_t, N>*>(at.low + i) = lows;
}

template <int N, typename T>
__device__ __forceinline__ void load(Elements<N>& elements, const Parameters<T>& at, int i) {
  load_floats<N>(elements.g, at.grad + i);
  load_floats<N>(elements.m, at.m + i);
  load_floats<N>(elements.v, at.v + i);
  load_weights<N>(elements.p, at, i);
}

template <int N>
__device__ __forceinline__ void update(Elements<N>& elements, const Scalars& s) {
  // The moment of a row that is not met any more fades out, as on the CPU.
  constexpr float kFaded = FLT_MIN * 1e8f;
#pragma unroll
  for (int i = 0; i < N; ++i) {
    const float g = elements.g[i] * s.clip;
    const float lerp = elements.m[i] + s.one_minus_beta1 * (g - elements.m[i]);
    const float m = fabsf(lerp) < kFaded ? 0.f : lerp;
    const float v = elements.v[i] * s.beta2 + s.one_minus_beta2 * g * g;
    elements.m[i] = m;
    elements.v[i] = v;
    elements.p[i] = elements.p[i] * s.decay - s.step_size * m / (sqrtf(v) / s.root_correction2 + s.eps);
  }
}

template <int N, typename T>
__device__ __forceinline__ void store(const Parameters<T>& at, int i, const Elements<N>& elements) {
  store_floats<N>(at.m + i, elements.m);
  store_floats<N>(at.v + i, elements.v);
  store_weights<N>(at, i, elements.p);
}

// Grid: a block a chunk; block: kThreads. loss (1).
template <typename T>
__global__ void __launch_bounds__(kThreads, sizeof(T) == sizeof(float) ? 4 : 3)
    adamw_kernel(const DeviceSegment* segments, const int32_t* chunk_segments, Settings settings, const float* loss,
                 int variant, DeviceState* state) {
  constexpr int kAtOnce = 2;
  const int thread = static_cast<int>(threadIdx.x);
  const Chunk chunk = chunk_at(segments, chunk_segments, static_cast<int>(blockIdx.x));
  // All blocks decide the same: `halted` is written only where no block reads it.
  if (!isfinite(state->grad_norm[variant]) || !isfinite(*loss)) {
    if (blockIdx.x == 0 && thread == 0) state->halted[variant] = 1;
    return;
  }
  if (state->halted[variant]) return;
  const Scalars scalars = scalars_of(settings, state, variant, *chunk.segment);
  const Parameters<T> parameters(chunk);
  const int vectors = parameters.are_vectorizable() ? chunk.length / kVector : 0;
  for (int first = thread; first < vectors; first += kAtOnce * kThreads) {
    Elements<kVector> elements[kAtOnce] = {};
#pragma unroll
    for (int u = 0; u < kAtOnce; ++u) {
      const int vector = first + u * kThreads;
      if (vector < vectors) load(elements[u], parameters, vector * kVector);
    }
#pragma unroll
    for (int u = 0; u < kAtOnce; ++u) {
      const int vector = first + u * kThreads;
      update(elements[u], scalars);
      if (vector < vectors) store(parameters, vector * kVector, elements[u]);
    }
  }
  for (int i = vectors * kVector + thread; i < chunk.length; i += kThreads) {
    Elements<1> element;
    load(element, parameters, i);
    update(element, scalars);
    store(parameters, i, element);
  }
}

}  // namespace

template <typename T>
void grad_norm(Context& context, const GradNorm& args) {
  const SegmentTable& segments = segment_table(context, args.segments, args.count, args.variant);
  const int most = std::max(context.multiprocessors, 1) * kNormBlocksPerSm;
  const int blocks = std::clamp(segments.chunks(), 1, most);
  // Doubles in the scratch of floats, which is aligned for them.
  double* partials = reinterpret_cast<double*>(context.scratch.floats(2 * static_cast<size_t>(blocks)));
  context.launch(&grad_norm_kernel, blocks, kThreads, 0, segments.segments(), segments.chunk_segments(),
                 segments.chunks(), partials, context.scratch.tickets(1), floats(args.norm), args.variant,
                 args.keep ? kept_of(context, *args.keep) : Kept{}, context.state);
}

template <typename T>
void adamw(Context& context, const AdamW& args) {
  const SegmentTable& segments = segment_table(context, args.segments, args.count, args.variant);
  const OptimizerSettings& settings = args.settings;
  if (segments.chunks() == 0) return;
  const Settings constants = {.log_beta1 = static_cast<float>(std::log(settings.beta1)),
                              .log_beta2 = static_cast<float>(std::log(settings.beta2)),
                              .beta2 = static_cast<float>(settings.beta2),
                              .one_minus_beta1 = static_cast<float>(1 - settings.beta1),
                              .one_minus_beta2 = static_cast<float>(1 - settings.beta2),
                              .eps = static_cast<float>(settings.eps),
                              .weight_decay = static_cast<float>(settings.weight_decay),
                              .max_grad_norm = static_cast<float>(settings.max_grad_norm)};
  context.launch(&adamw_kernel<T>, segments.chunks(), kThreads, 0, segments.segments(), segments.chunk_segments(),
                 constants, floats(args.loss), args.variant, context.state);
}

template void grad_norm<float>(Context&, const GradNorm&);
template void grad_norm<bf16>(Context&, const GradNorm&);
template void adamw<float>(Context&, const AdamW&);
template void adamw<bf16>(Context&, const AdamW&);

}  // namespace bertune::cuda
