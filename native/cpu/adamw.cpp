// The optimiser: global gradient norm, clipping and AdamW (Loshchilov & Hutter, "Decoupled Weight Decay
// Regularization", 2019), with the order of operations of torch.optim.AdamW:
//
//   g = grad · min(1, max_grad_norm / (norm + 1e-6))
//   p = p · (1 − lr · weight_decay)
//   m = m + (1 − beta1) · (g − m)
//   v = v · beta2 + (1 − beta2) · g · g
//   p = p − lr / (1 − beta1^t) · m / (√v / √(1 − beta2^t) + eps)
//
// The norm is summed over fixed blocks of elements in order, so it does not depend on the number of threads.
#include <algorithm>
#include <cmath>
#include <limits>

#include "cpu/operations.h"
#include "cpu/scalar.h"

namespace bertune {
namespace {

// Elements of a block: the unit of work, and of the norm's sum.
constexpr int64_t kBlock = 4096;

int64_t blocks_of(const OptimizerSegment& segment) { return (segment.count + kBlock - 1) / kBlock; }

int64_t count_blocks(const OptimizerSegment* segments, int count) {
  int64_t total = 0;
  for (int s = 0; s < count; ++s) total += blocks_of(segments[s]);
  return total;
}

// Calls work(block, segment, begin, length) for a thread's share of all segments' blocks, in order; `block` counts over
// all segments and a block never crosses from one segment into the next.
template <typename Work>
void for_blocks(const OptimizerSegment* segments, int count, int threads, int thread, Work&& work) {
  const int64_t total = count_blocks(segments, count);
  const int64_t share_begin = total * thread / threads, share_end = total * (thread + 1) / threads;
  int64_t first = 0;  // of this segment
  for (int s = 0; s < count; ++s) {
    const int64_t next = first + blocks_of(segments[s]);
    for (int64_t block = std::max(first, share_begin); block < std::min(next, share_end); ++block) {
      const int64_t begin = (block - first) * kBlock;
      work(block, segments[s], begin, std::min(kBlock, segments[s].count - begin));
    }
    first = next;
  }
}

template <typename T>
T sum_of_squares(const T* values, int64_t count) {
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < count; ++i) sum += values[i] * values[i];
  return sum;
}

// The formula's scalars, the same for all elements of a segment.
template <typename T>
struct AdamwScalars {
  T clip, decay, beta2, one_minus_beta1, one_minus_beta2, root_correction2, eps, step_size;
};

template <typename T>
void update(const AdamwScalars<T>& s, int64_t count, const T* grad, T* p, T* m, T* v) {
  // The moment of a row that is not met any more fades and would stay subnormal for good, at a third of the speed.
  constexpr T kFaded = std::numeric_limits<T>::min() * T(1e8);
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) {
    const T g = grad[i] * s.clip;
    const T lerp = m[i] + s.one_minus_beta1 * (g - m[i]);
    const T mi = std::fabs(lerp) < kFaded ? T(0) : lerp;
    const T vi = v[i] * s.beta2 + s.one_minus_beta2 * g * g;
    m[i] = mi;
    v[i] = vi;
    p[i] = p[i] * s.decay - s.step_size * mi / (std::sqrt(vi) / s.root_correction2 + s.eps);
  }
}

}  // namespace

template <typename T>
void grad_norm(Context& context, const GradNorm& args) {
  const int64_t blocks = count_blocks(args.segments, args.count);
  T* sums = context.shared_scratch<T>(blocks);
  context.pool.run([&](int thread) {
    for_blocks(args.segments, args.count, context.threads(), thread,
               [&](int64_t block, const OptimizerSegment& segment, int64_t begin, int64_t length) {
                 sums[block] = sum_of_squares(scalars<T>(segment.grad) + begin, length);
               });
  });
  double total = 0;
  for (int64_t block = 0; block < blocks; ++block) total += sums[block];
  context.grad_norm = std::sqrt(total);
  *scalars<T>(args.norm) = static_cast<T>(context.grad_norm);
}

template <typename T>
void adamw(Context& context, const AdamW& args) {
  const OptimizerSettings& settings = args.settings;
  const double norm = context.grad_norm, lr = context.step.learning_rate, t = context.step.step;
  context.halted = context.halted || !std::isfinite(norm) || !std::isfinite(*scalars<T>(args.loss));
  if (context.halted) return;
  const double clip = settings.max_grad_norm > 0 ? std::min(1.0, settings.max_grad_norm / (norm + 1e-6)) : 1.0;
  AdamwScalars<T> plain;
  plain.clip = T(clip);
  plain.decay = T(1);
  plain.beta2 = T(settings.beta2);
  plain.one_minus_beta1 = T(1 - settings.beta1);
  plain.one_minus_beta2 = T(1 - settings.beta2);
  plain.root_correction2 = T(std::sqrt(1 - std::pow(settings.beta2, t)));
  plain.eps = T(settings.eps);
  plain.step_size = T(lr / (1 - std::pow(settings.beta1, t)));
  AdamwScalars<T> decayed = plain;
  decayed.decay = T(1 - lr * settings.weight_decay);
  for (int s = 0; s < args.count; ++s) {
    const T* weight = scalars<T>(args.segments[s].weight);
    context.products.trained(weight, weight + args.segments[s].count);
  }
  context.pool.run([&](int thread) {
    for_blocks(args.segments, args.count, context.threads(), thread,
               [&](int64_t, const OptimizerSegment& segment, int64_t begin, int64_t length) {
                 update(segment.decay ? decayed : plain, length, scalars<T>(segment.grad) + begin,
                        scalars<T>(segment.weight) + begin, scalars<T>(segment.m) + begin,
                        scalars<T>(segment.v) + begin);
               });
  });
}

template void grad_norm<float>(Context&, const GradNorm&);
template void grad_norm<double>(Context&, const GradNorm&);
template void adamw<float>(Context&, const AdamW&);
template void adamw<double>(Context&, const AdamW&);

}  // namespace bertune
