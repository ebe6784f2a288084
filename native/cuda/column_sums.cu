// Sums over the rows of a matrix, a column each (column_sums.cuh has how):
//
//   column_sums               dbias = Σ dout
//   layernorm_parameter_sums  dgamma = Σ dout · (sum − mean) · rstd,  dbeta = Σ dout          over live rows
//   sum_rows                  any number of both, in one launch
#include <algorithm>

#include "cuda/column_sums.cuh"
#include "cuda/column_sums.h"
#include "cuda/operations.h"
#include "cuda/pick.cuh"

namespace bertune::cuda {
namespace {

template <typename T, int N>
struct ColumnSource {
  static constexpr int kSums = 1;
  const T* inp;  // (rows,n)
  int stride;

  struct Raw {
    float inp[N];
  };

  __device__ __forceinline__ void load(Raw& raw, int row, int column, int) const {
    load_floats<N>(raw.inp, inp + static_cast<size_t>(row) * stride + column);
  }
  __device__ __forceinline__ void add(float (&sums)[kSums][N], const Raw& raw, int, int) const {
#pragma unroll
    for (int i = 0; i < N; ++i) sums[0][i] += raw.inp[i];
  }
};

template <typename T, int N>
struct LayernormSource {
  static constexpr int kSums = 2;  // dgamma, dbeta
  const T* dout;                   // (rows,C)
  const T* sum;                    // (rows,C)
  const float* mean;               // (rows)
  const float* rstd;               // (rows)
  DropoutMask mask;

  struct Raw {
    float dout[N], sum[N], mean, rstd;
  };

  __device__ __forceinline__ void load(Raw& raw, int row, int column, int C) const {
    const size_t at = static_cast<size_t>(row) * C + column;
    load_floats<N>(raw.dout, dout + at);
    load_floats<N>(raw.sum, sum + at);
    raw.mean = mean[row];
    raw.rstd = rstd[row];
  }
  __device__ __forceinline__ void add(float (&sums)[kSums][N], Raw& raw, int row, int column) const {
    if constexpr (N == 1) {
      raw.dout[0] *= mask.factor(row, column);
    } else {
      kept_columns<N>(mask, row, column).apply(raw.dout);
    }
#pragma unroll
    for (int i = 0; i < N; ++i) {
      sums[0][i] += raw.dout[i] * ((raw.sum[i] - raw.mean) * raw.rstd);
      sums[1][i] += raw.dout[i];
    }
  }
};

// A bias's gradient, or a LayerNorm's where `sum` is not null. kSums is that of the latter: a bias's is the second.
template <typename T, int N>
struct RowSumSource {
  static constexpr int kSums = 2;
  int stride;
  const T* dout;      // (rows,n)
  const T* sum;       // (rows,n) or null
  const float* mean;  // (rows)
  const float* rstd;  // (rows)

  struct Raw {
    float dout[N], sum[N], mean, rstd;
  };

  __device__ __forceinline__ void load(Raw& raw, int row, int column, int n) const {
    load_floats<N>(raw.dout, dout + static_cast<size_t>(row) * stride + column);
    if (!sum) return;
    load_floats<N>(raw.sum, sum + static_cast<size_t>(row) * n + column);
    raw.mean = mean[row];
    raw.rstd = rstd[row];
  }
  __device__ __forceinline__ void add(float (&sums)[kSums][N], const Raw& raw, int, int) const {
#pragma unroll
    for (int i = 0; i < N; ++i) {
      if (sum) sums[0][i] += raw.dout[i] * ((raw.sum[i] - raw.mean) * raw.rstd);
      sums[1][i] += raw.dout[i];
    }
  }
};

// A sum of one launch.
struct SumJob {
  int first_block;
  bool vectors;  // of kVectorColumns; else columns one by one, which are summed in another order
  int n, stride, stripes, slices, slice_rows;
  RowCount rows;
  const void* dout;
  const void* sum;
  const float* mean;
  const float* rstd;
  float* dgamma;
  float* dbeta;
  float* partials;
  unsigned* tickets;

  // Of what LayerNorms and biases have, the bias has one.
  int sums() const { return sum ? 2 : 1; }
};

constexpr int kMostJobs = 8;
struct SumJobs {
  int count;
  bool accumulate;
  SumJob job[kMostJobs];
};

template <typename T, int N>
__device__ __forceinline__ void sum_job(const SumJob& job, const Stripe& stripe, bool accumulate) {
  const RowSumSource<T, N> source{job.stride, static_cast<const T*>(job.dout), static_cast<const T*>(job.sum), job.mean,
                                  job.rstd};
  sum_stripe<N>(job.rows, job.n, stripe, source, {{job.dgamma, job.dbeta}, accumulate});
}

// Grid: stripes · slices of all jobs; block: 512.
template <typename T>
__global__ void __launch_bounds__(kSumThreads, 1) sum_rows_kernel(SumJobs jobs) {
  simt::wait_for_previous();
  const int block = static_cast<int>(blockIdx.x);
  int which = 0;
#pragma unroll
  for (int i = 1; i < kMostJobs; ++i) which = i < jobs.count && block >= jobs.job[i].first_block ? i : which;
  const SumJob job = pick(jobs.job, which);
  const int own = block - job.first_block, column = own % job.stripes;
  const Stripe stripe{.first_column = column * kStripe,
                      .slice = own / job.stripes,
                      .slices = job.slices,
                      .slice_rows = job.slice_rows,
                      .first_sum = job.sum ? 0 : 1,
                      .partials = job.partials,
                      .ticket = job.tickets ? job.tickets + column : nullptr};
  job.vectors ? sum_job<T, kVectorColumns<T>>(job, stripe, jobs.accumulate)
              : sum_job<T, 1>(job, stripe, jobs.accumulate);
}

// At most kMostJobs.
template <typename T>
void launch_jobs(Context& context, SumJobs& jobs) {
  size_t partials = 0, tickets = 0;
  int blocks = 0;
  for (int i = 0; i < jobs.count; ++i) {
    SumJob& job = jobs.job[i];
    job.stripes = ceil_div(job.n, kStripe);
    const bool sliced = is_sliced(job.rows, job.stripes);
    job.slices = sliced ? ceil_div(job.rows.padded, kSliceRows) : 1;
    job.slice_rows = sliced ? kSliceRows : job.rows.padded;
    job.first_block = blocks;
    blocks += job.stripes * job.slices;
    if (!sliced) continue;
    partials += static_cast<size_t>(job.slices) * job.sums() * job.n;
    tickets += job.stripes;
  }
  if (blocks == 0) return;
  float* next_partials = partials > 0 ? context.scratch.floats(partials) : nullptr;
  unsigned* next_tickets = tickets > 0 ? context.scratch.tickets(tickets) : nullptr;
  for (int i = 0; i < jobs.count; ++i) {
    SumJob& job = jobs.job[i];
    if (job.slices == 1) continue;
    job.partials = next_partials;
    job.tickets = next_tickets;
    next_partials += static_cast<size_t>(job.slices) * job.sums() * job.n;
    next_tickets += job.stripes;
  }
  context.launch(sum_rows_kernel<T>, dim3(blocks), dim3(kSumThreads), 0, jobs);
}

}  // namespace

template <typename T>
void sum_rows(Context& context, const SumRows& args) {
  constexpr int N = kVectorColumns<T>;
  SumJobs jobs{};
  jobs.accumulate = args.accumulate;
  for (int i = 0; i < args.count; ++i) {
    const RowSum& sum = args.sums[i];
    if (!sum.dgamma && !sum.dbeta) continue;
    const T* dout = scalars<T>(sum.dout);
    const T* normed = scalars<T>(sum.sum);
    if (jobs.count == kMostJobs) {
      launch_jobs<T>(context, jobs);
      jobs.count = 0;
    }
    jobs.job[jobs.count++] = {
        .first_block = 0,
        .vectors = is_vectorizable<N>(dout, sum.n, sum.dout_stride) && is_vectorizable<N>(normed, sum.n, sum.n),
        .n = sum.n,
        .stride = sum.dout_stride,
        .stripes = 0,
        .slices = 0,
        .slice_rows = 0,
        .rows = context.rows(sum.rows),
        .dout = dout,
        .sum = normed,
        .mean = floats(sum.mean),
        .rstd = floats(sum.rstd),
        .dgamma = floats(sum.dgamma),
        .dbeta = floats(sum.dbeta),
        .partials = nullptr,
        .tickets = nullptr};
  }
  if (jobs.count > 0) launch_jobs<T>(context, jobs);
}

template <typename T>
void column_sums(Context& context, RowCount rows, int n, int stride, bool accumulate, const T* dout, float* dbias) {
  const auto launch = [&](auto columns) {
    constexpr int N = decltype(columns)::value;
    launch_column_sums<N>(context, rows, n, 1, ColumnSource<T, N>{dout, stride}, {{dbias}, accumulate});
  };
  constexpr int N = kVectorColumns<T>;
  if (is_vectorizable<N>(dout, n, stride)) return launch(std::integral_constant<int, N>{});
  launch(std::integral_constant<int, 1>{});
}

template <typename T>
void layernorm_parameter_sums(Context& context, RowCount rows, int C, bool accumulate, const DropoutMask& mask,
                              const T* dout, const T* sum, const float* mean, const float* rstd, float* dgamma,
                              float* dbeta) {
  if (!dgamma && !dbeta) return;
  const auto launch = [&](auto columns) {
    constexpr int N = decltype(columns)::value;
    launch_column_sums<N>(context, rows, C, 1, LayernormSource<T, N>{dout, sum, mean, rstd, mask},
                          {{dgamma, dbeta}, accumulate});
  };
  constexpr int N = kVectorColumns<T>;
  if (is_vectorizable<N>(dout, C, C) && is_vectorizable<N>(sum, C, C)) {
    return launch(std::integral_constant<int, N>{});
  }
  launch(std::integral_constant<int, 1>{});
}

template <typename T>
void layernorm_parameter_sums(Context& context, RowCount rows, int C, bool accumulate, const T* dout, const T* sum,
                              const float* mean, const float* rstd, float* dgamma, float* dbeta) {
  const DropoutMask none{nullptr, 0, 0, 1.f, nullptr, 1, nullptr};
  layernorm_parameter_sums(context, rows, C, accumulate, none, dout, sum, mean, rstd, dgamma, dbeta);
}

#define BERTUNE_INSTANTIATE(T)                                                                                     \
  template void sum_rows<T>(Context&, const SumRows&);                                                             \
  template void column_sums<T>(Context&, RowCount, int, int, bool, const T*, float*);                              \
  template void layernorm_parameter_sums<T>(Context&, RowCount, int, bool, const T*, const T*, const float*,       \
                                            const float*, float*, float*);                                         \
  template void layernorm_parameter_sums<T>(Context&, RowCount, int, bool, const DropoutMask&, const T*, const T*, \
                                            const float*, const float*, float*, float*);
BERTUNE_INSTANTIATE(float)
BERTUNE_INSTANTIATE(bf16)
#undef BERTUNE_INSTANTIATE

}  // namespace bertune::cuda
