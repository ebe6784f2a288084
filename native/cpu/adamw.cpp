// The optimizer: global gradient norm, clipping and AdamW (Loshchilov & Hutter, "Decoupled Weight Decay
// Regularization", 2019), with the order of operations of torch.optim.AdamW:
//
//   g = grad · min(1, max_grad_norm / (norm + 1e-6))
//   p = p · (1 − lr · weight_decay)
//   m = m + (1 − beta1) · (g − m)
//   v = v · beta2 + (1 − beta2) · g · g
//   p = p − lr / (1 − beta1^t) · m / (√v / √(1 − beta2^t) + eps)
//
// with lr the step's learning rate times the segment's. The norm is summed over fixed blocks of elements in order, so it does not depend on the number of threads. Of an
// embedding table only the rows that tokens met are summed and updated: the others' gradients are 0, and lazy_rows.h
// updates them later.
#include "cpu/adamw.h"

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

// One copy: compilers may sum in another order where they inline it elsewhere.
template <typename T>
[[gnu::noinline]] T sum_of_squares(const T* values, int64_t count) {
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < count; ++i) sum += values[i] * values[i];
  return sum;
}

// The elements begin .. begin + length of a table's gradient, of which those of rows that were not met are 0.
template <typename T>
void copy_elements(const MetRows& met, const T* gradient, int64_t begin, int64_t length, T* to) {
  const int64_t C = met.C(), end = begin + length;
  for (int64_t at = begin; at < end;) {
    const int64_t row = at / C, row_end = std::min(end, (row + 1) * C);
    const int place = met.place(static_cast<int>(row));
    if (place < 0) {
      std::fill(to, to + (row_end - at), T(0));
    } else {
      std::copy_n(gradient + place * C + at - row * C, row_end - at, to);
    }
    to += row_end - at;
    at = row_end;
  }
}

// The sums of a table's blocks; those without a row that was met are 0. A block belongs to its first row that was met.
template <typename T>
void sum_table(Context& context, int thread, const OptimizerSegment& segment, T* sums) {
  const MetRows& met = context.met_rows;
  const auto first_block = [&](int32_t row) { return static_cast<int64_t>(row) * met.C() / kBlock; };
  const auto end_block = [&](int32_t row) { return ((static_cast<int64_t>(row) + 1) * met.C() - 1) / kBlock + 1; };
  const std::vector<int32_t>& rows = met.list();
  const Range share = even_split(static_cast<int>(rows.size()), context.threads(), thread);
  T* block_of_table = context.scratch<T>(thread, kBlock);
  for (int i = share.begin; i < share.end; ++i) {
    const int64_t done = i > 0 ? end_block(rows[i - 1]) : 0;
    for (int64_t block = std::max(first_block(rows[i]), done); block < end_block(rows[i]); ++block) {
      const int64_t begin = block * kBlock, length = std::min(kBlock, segment.count - begin);
      copy_elements(met, scalars<T>(segment.grad), begin, length, block_of_table);
      sums[block] = sum_of_squares(block_of_table, length);
    }
  }
}

// Before the segment is updated as a whole.
template <typename T>
void settle(LazyRows& lazy, const OptimizerSegment& segment) {
  const size_t bytes = static_cast<size_t>(segment.count) * sizeof(T);
  lazy.settle<T>({segment.weight, bytes});
  lazy.settle<T>({segment.m, bytes});
  lazy.settle<T>({segment.v, bytes});
}

}  // namespace

template <typename T>
void adamw_update(const AdamwScalars<T>& s, int64_t count, const T* grad, T* p, T* m, T* v) {
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

template <typename T>
void grad_norm(Context& context, const GradNorm& args) {
  const int64_t blocks = count_blocks(args.segments, args.count);
  T* sums = context.shared_scratch<T>(blocks);
  const int table = context.met_rows.find(args.segments, args.count);
  T* table_sums = sums + count_blocks(args.segments, table);
  T* later_sums = table_sums;
  if (table < args.count) {
    later_sums += blocks_of(args.segments[table]);
    std::fill(table_sums, later_sums, T(0));
  }
  context.pool.run([&](int thread) {
    const auto sum_segments = [&](int begin, int end, T* to) {
      for_blocks(args.segments + begin, end - begin, context.threads(), thread,
                 [&](int64_t block, const OptimizerSegment& segment, int64_t begin, int64_t length) {
                   to[block] = sum_of_squares(scalars<T>(segment.grad) + begin, length);
                 });
    };
    sum_segments(0, table, sums);
    if (table == args.count) return;
    sum_table(context, thread, args.segments[table], table_sums);
    sum_segments(table + 1, args.count, later_sums);
  });
  double total = 0;
  for (int64_t block = 0; block < blocks; ++block) total += sums[block];
  context.grad_norm[args.variant] = std::sqrt(total);
  *scalars<T>(args.norm) = static_cast<T>(context.grad_norm[args.variant]);
  if (args.keep) keep_step<T>(context, *args.keep);
}

template <typename T>
void adamw(Context& context, const AdamW& args) {
  const OptimizerSettings& settings = args.settings;
  const double norm = context.grad_norm[args.variant], lr = context.step.learning_rates[args.variant];
  const double t = context.step.step;
  bool& halted = context.halted[args.variant];
  halted = halted || !std::isfinite(norm) || !std::isfinite(*scalars<T>(args.loss));
  if (halted) return;
  const double clip = settings.max_grad_norm > 0 ? std::min(1.0, settings.max_grad_norm / (norm + 1e-6)) : 1.0;
  AdamwScalars<T> shared{};
  shared.clip = T(clip);
  shared.beta2 = T(settings.beta2);
  shared.one_minus_beta1 = T(1 - settings.beta1);
  shared.one_minus_beta2 = T(1 - settings.beta2);
  shared.root_correction2 = T(std::sqrt(1 - std::pow(settings.beta2, t)));
  shared.eps = T(settings.eps);
  const double correction1 = 1 - std::pow(settings.beta1, t);
  const auto scalars_of = [&](const OptimizerSegment& segment) {
    const double rate = lr * segment.rate;
    AdamwScalars<T> scalars = shared;
    scalars.decay = segment.decay ? T(1 - rate * settings.weight_decay) : T(1);
    scalars.step_size = T(rate / correction1);
    return scalars;
  };

  const int table = context.met_rows.find(args.segments, args.count);
  LazyRows& lazy = context.lazy_rows;
  if (table < args.count) lazy.begin(args.segments[table], context.met_rows, scalars_of(args.segments[table]));
  for (int s = 0; s < args.count; ++s) {
    context.products.trained({args.segments[s].weight, args.segments[s].count * sizeof(T)});
    if (s != table) settle<T>(lazy, args.segments[s]);
  }
  context.pool.run([&](int thread) {
    const auto update_segments = [&](int begin, int end) {
      for_blocks(args.segments + begin, end - begin, context.threads(), thread,
                 [&](int64_t, const OptimizerSegment& segment, int64_t begin, int64_t length) {
                   adamw_update(scalars_of(segment), length, scalars<T>(segment.grad) + begin,
                                scalars<T>(segment.weight) + begin, scalars<T>(segment.m) + begin,
                                scalars<T>(segment.v) + begin);
                 });
    };
    update_segments(0, table);
    if (table == args.count) return;
    lazy.update<T>(thread, args.segments[table], context.met_rows);
    update_segments(table + 1, args.count);
  });
}

template void adamw_update<float>(const AdamwScalars<float>&, int64_t, const float*, float*, float*, float*);
template void adamw_update<double>(const AdamwScalars<double>&, int64_t, const double*, double*, double*, double*);
template void grad_norm<float>(Context&, const GradNorm&);
template void grad_norm<double>(Context&, const GradNorm&);
template void adamw<float>(Context&, const AdamW&);
template void adamw<double>(Context&, const AdamW&);

}  // namespace bertune
