// Batches whose sequences are of several adapters: each run of neighbors of one adapter is a product of its own.
//
//   lora     h (run,r) = inp (run,k) · Aᵀ → out (run,n) += scaling · h · Bᵀ
//   dora     out (run,n) += (scale − 1) ∘ (out − bias)
//   linear   out (run,n) = inp (run,k) · weightᵀ + bias
#include <algorithm>

#include "cpu/gemm.h"
#include "cpu/operations.h"
#include "cpu/scalar.h"

namespace bertune {
namespace {

constexpr int kRunRows = 64;

// Calls visit(rows, slot) for the runs of neighbors of one slot within `rows`, in blocks that stay in the cache.
template <typename Visit>
void for_runs(const Context& context, RowKind kind, Range rows, const int32_t* slots, Visit visit) {
  const int32_t* starts = context.batch.cu_seqlens;
  const int32_t* of_batch = slots + context.step.order_begin;
  const bool tokens = kind == RowKind::kTokens;
  const auto end_of = [&](int sequence) { return tokens ? starts[sequence + 1] : sequence + 1; };
  int sequence = rows.begin;
  if (tokens) {
    sequence = static_cast<int>(std::upper_bound(starts, starts + context.batch.B + 1, rows.begin) - starts) - 1;
  }
  for (int begin = rows.begin; begin < rows.end;) {
    const int32_t slot = of_batch[sequence];
    int end = end_of(sequence++);
    while (end < rows.end && of_batch[sequence] == slot) end = end_of(sequence++);
    end = std::min(end, rows.end);
    for (; begin < end; begin = std::min(begin + kRunRows, end)) {
      visit(Range{begin, std::min(begin + kRunRows, end)}, slot);
    }
  }
}

}  // namespace

template <typename T>
void mixed_lora_forward_add(Context& context, const MixedLoraForwardAdd& args) {
  context.for_rows(args.rows, [&](int, Range rows) {
    for_runs(context, args.rows.kind, rows, args.slots, [&](Range run, int32_t slot) {
      const LowRankFactors& update = args.updates[slot];
      if (update.r == 0) return;
      const T* inp = scalars<T>(args.inp) + static_cast<int64_t>(run.begin) * args.inp_stride;
      T* h = scalars<T>(args.h) + static_cast<int64_t>(run.begin) * args.r;
      T* out = scalars<T>(args.out) + static_cast<int64_t>(run.begin) * args.out_stride;
      gemm(false, true, run.size(), update.r, args.k, T(1), inp, args.inp_stride, scalars<T>(update.a), args.k, T(0), h,
           args.r);
      gemm(false, true, run.size(), args.n, update.r, static_cast<T>(update.scaling), h, args.r, scalars<T>(update.b),
           update.r, T(1), out, args.out_stride);
    });
  });
}

template <typename T>
void mixed_dora_forward(Context& context, const MixedDoraForward& args) {
  const T* bias = scalars<T>(args.bias);
  context.for_rows(args.rows, [&](int, Range rows) {
    for_runs(context, args.rows.kind, rows, args.slots, [&](Range run, int32_t slot) {
      const T* scale = scalars<T>(args.updates[slot].scale);
      if (!scale) return;
      for (int64_t row = run.begin; row < run.end; ++row) {
        T* out = scalars<T>(args.out) + row * args.out_stride;
#pragma omp simd
        for (int i = 0; i < args.n; ++i) out[i] += (scale[i] - 1) * (out[i] - bias[i]);
      }
    });
  });
}

template <typename T>
void mixed_linear_forward(Context& context, const MixedLinearForward& args) {
  const Rows sequences{RowKind::kSequences, context.batch.B};
  context.for_rows(sequences, [&](int, Range rows) {
    for_runs(context, RowKind::kSequences, rows, args.slots, [&](Range run, int32_t slot) {
      const LinearFactors& linear = args.linears[slot];
      if (linear.n == 0) return;
      T* out = scalars<T>(args.out) + static_cast<int64_t>(run.begin) * args.out_stride;
      for (int64_t row = 0; row < run.size(); ++row) {
        T* logits = out + row * args.out_stride;
        std::copy_n(scalars<T>(linear.bias), linear.n, logits);
        std::fill(logits + linear.n, logits + args.n, T(0));
      }
      gemm(false, true, run.size(), linear.n, args.k, T(1),
           scalars<T>(args.inp) + static_cast<int64_t>(run.begin) * args.k, args.k, scalars<T>(linear.weight), args.k,
           T(1), out, args.out_stride);
    });
  });
}

template void mixed_lora_forward_add<float>(Context&, const MixedLoraForwardAdd&);
template void mixed_lora_forward_add<double>(Context&, const MixedLoraForwardAdd&);
template void mixed_dora_forward<float>(Context&, const MixedDoraForward&);
template void mixed_dora_forward<double>(Context&, const MixedDoraForward&);
template void mixed_linear_forward<float>(Context&, const MixedLinearForward&);
template void mixed_linear_forward<double>(Context&, const MixedLinearForward&);

}  // namespace bertune
