// The kernel behind sums over rows, for whatever is summed: column_sums.h has what is, embedding.cu sums by token type.
//
// A block owns a stripe of 32 columns, so that no other block adds to them. Its 512 threads are as many groups as fit
// beside each other, each taking every so many rows, a few loads under way at a time; the groups are then added up in
// shared memory in a fixed order. Where there are many rows, the blocks of a stripe take a slice each, and the last one
// to finish adds the slices up in order.
#pragma once

#include "cuda/columns.cuh"
#include "cuda/context.h"

namespace bertune::cuda {

constexpr int kStripe = 32;  // columns of a block
constexpr int kSumThreads = 512;
constexpr int kSumRows = 4;          // rows that a thread loads at a time
constexpr int kUnslicedRows = 1024;  // up to here one block sums all rows
constexpr int kSliceRows = 512;
constexpr unsigned kMostSlicedStripes = 512;

// Gradients of n columns each, or null.
template <int kSums>
struct SumOutputs {
  float* gradient[kSums];
  bool accumulate;
};

// What a block sums.
struct Stripe {
  int first_column;
  int slice, slices, slice_rows;
  int first_sum;     // of the source's sums, those before it are not made
  float* partials;   // (slices, kSums − first_sum, n), where there are several slices
  unsigned* ticket;  // of the stripe
};

// Source: kSums sums at once. load(raw, row, column, n) reads N columns, add(sums, raw, row, column) adds them.
// Writes sum s to gradient[s] (n), by a block of kSumThreads.
template <int N, typename Source>
__device__ __forceinline__ void sum_stripe(RowCount rows, int n, const Stripe& stripe, Source source,
                                           const SumOutputs<Source::kSums>& outputs) {
  constexpr int kSums = Source::kSums, kAcross = kStripe / N, kGroups = kSumThreads / kAcross;
  constexpr int kWarps = kSumThreads / 32;
  static_assert(kGroups == kWarps * N, "a warp has N groups");
  SHARED(partial, float[kSums][kGroups][kStripe]);
  SHARED(is_last, bool);
  const int thread = static_cast<int>(threadIdx.x), lane = thread & 31, warp = thread >> 5;
  const int group = thread / kAcross, column = stripe.first_column + thread % kAcross * N;
  const int begin = stripe.slice * stripe.slice_rows;
  const int end = min(begin + stripe.slice_rows, rows.padded), live = rows.count();

  float sums[kSums][N] = {};
  for (int first = begin + group; first < end && column < n; first += kGroups * kSumRows) {
    // Rows that are not live are loaded too, so that no load waits for the count.
    typename Source::Raw raw[kSumRows];
#pragma unroll
    for (int i = 0; i < kSumRows; ++i) {
      const int row = first + i * kGroups;
      if (row < end) source.load(raw[i], row, column, n);
    }
#pragma unroll
    for (int i = 0; i < kSumRows; ++i) {
      const int row = first + i * kGroups;
      if (row < end && row < live) source.add(sums, raw[i], row, column);
    }
  }
#pragma unroll
  for (int s = 0; s < kSums; ++s) store_floats<N>(&partial[s][group][thread % kAcross * N], sums[s]);

  // The groups of each warp, then the warps: a lane a column.
  __syncwarp();
#pragma unroll
  for (int s = 0; s < kSums; ++s) {
    float sum = 0.f;
#pragma unroll
    for (int i = 0; i < N; ++i) sum += partial[s][warp * N + i][lane];
    partial[s][warp * N][lane] = sum;
  }
  __syncthreads();
  const int own = stripe.first_column + lane;
  const bool sums_up = warp >= stripe.first_sum && warp < kSums && own < n;  // warp s finishes sum s
  float sum = 0.f;
  if (sums_up) {
#pragma unroll
    for (int i = 0; i < kWarps; ++i) sum += partial[warp][i * N][lane];
  }

  if (stripe.slices > 1) {
    const int sums_made = kSums - stripe.first_sum;
    const size_t slice_floats = static_cast<size_t>(sums_made) * n;
    float* partials = stripe.partials + static_cast<int64_t>(warp - stripe.first_sum) * n + own;
    if (sums_up) partials[stripe.slice * slice_floats] = sum;
    __threadfence();
    __syncthreads();
    if (thread == 0) {
      is_last = atomicAdd(stripe.ticket, 1u) == static_cast<unsigned>(stripe.slices) - 1;
      if (is_last) *stripe.ticket = 0;
    }
    __syncthreads();
    if (!is_last) return;
    __threadfence();
    if (sums_up) {
      sum = 0.f;
#pragma unroll 8
      for (int i = 0; i < stripe.slices; ++i) sum += partials[i * slice_floats];
    }
  }
  if (!sums_up) return;
  float* gradient = outputs.gradient[0];
#pragma unroll
  for (int s = 1; s < kSums; ++s) gradient = warp == s ? outputs.gradient[s] : gradient;
  if (!gradient) return;
  gradient += own;
  *gradient = outputs.accumulate ? *gradient + sum : sum;
}

// Grid: (ceil(n / 32), slices, any); block: 512. Gradients are n columns each, or null; of `blockIdx.z` those from
// z · n on.
template <int N, typename Source>
__global__ void __launch_bounds__(kSumThreads, 1)
    column_sums_kernel(RowCount rows, int slice_rows, int n, Source source, SumOutputs<Source::kSums> outputs,
                       float* partials /* (z,slices,kSums,n) */, unsigned* tickets /* (z,stripes) */) {
  simt::wait_for_previous();
  const size_t layer = blockIdx.z;
#pragma unroll
  for (int s = 0; s < Source::kSums; ++s) {
    if (outputs.gradient[s]) outputs.gradient[s] += layer * n;
  }
  const Stripe stripe{.first_column = static_cast<int>(blockIdx.x) * kStripe,
                      .slice = static_cast<int>(blockIdx.y),
                      .slices = static_cast<int>(gridDim.y),
                      .slice_rows = slice_rows,
                      .first_sum = 0,
                      .partials = partials ? partials + layer * gridDim.y * Source::kSums * n : nullptr,
                      .ticket = tickets ? tickets + layer * gridDim.x + blockIdx.x : nullptr};
  sum_stripe<N>(rows, n, stripe, source, outputs);
}

inline bool is_sliced(RowCount rows, unsigned stripes) {
  return rows.padded > kUnslicedRows && stripes <= kMostSlicedStripes;
}

// `layers`: what blockIdx.z counts.
template <int N, typename Source>
void launch_column_sums(Context& context, RowCount rows, int n, int layers, const Source& source,
                        const SumOutputs<Source::kSums>& outputs) {
  const unsigned stripes = ceil_div(n, kStripe);
  // Many sums at once have blocks enough, and reserve_workspace plans for partials of no more than these.
  const bool sliced = layers * Source::kSums <= 2 && is_sliced(rows, stripes);
  const unsigned slices = sliced ? ceil_div(rows.padded, kSliceRows) : 1;
  float* partials = nullptr;
  unsigned* tickets = nullptr;
  if (sliced) {
    partials = context.scratch.floats(static_cast<size_t>(layers) * slices * Source::kSums * n);
    tickets = context.scratch.tickets(static_cast<size_t>(layers) * stripes);
  }
  context.launch(column_sums_kernel<N, Source>, dim3(stripes, slices, layers), kSumThreads, 0, rows,
                 sliced ? kSliceRows : rows.padded, n, source, outputs, partials, tickets);
}

}  // namespace bertune::cuda
