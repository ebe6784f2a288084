// Gradients of linears on LayerNorms' outputs, and of those LayerNorms, all in one launch. With x̂ = (sum − mean) · rstd:
//
//   dbias (n) = Σ dout (rows,n),  product (n,k) = doutᵀ · x̂ (rows,k)
//   dweight (n,k) = gamma · product + beta · dbias,  dgamma (k) = Σ_n weight (n,k) · product,  dbeta (k) = weightᵀ · dbias
//
// A block owns a stripe of 32 columns of k, a lane a column; its warps take a few of n each, all rows one after the other,
// and their sums are added up at the end, in order. Made for the few rows of a head's batch: no tensor cores.
#include "cuda/columns.cuh"
#include "cuda/operations.h"
#include "cuda/pick.cuh"

namespace bertune::cuda {
namespace {

constexpr int kColumns = 32;  // of a block
constexpr int kStripeWarps = 16;
constexpr int kOutputs = 8;  // of n, that a warp takes at a time
constexpr int kMostLinears = 4;

struct Job {
  int first_block;
  bool vectors;  // of kOutputs
  int n, k;
  RowCount rows;
  const void* dout;    // (rows,n)
  const void* weight;  // (n,k)
  const void* sum;     // (rows,k)
  const float* mean;   // (rows)
  const float* rstd;   // (rows)
  const void* gamma;   // (k)
  const void* beta;    // (k)
  float* dweight;      // (n,k) or null
  float* dbias;        // (n) or null
  float* dgamma;       // (k) or null
  float* dbeta;        // (k) or null
};
struct Jobs {
  int count;
  bool accumulate;
  Job job[kMostLinears];
};

__device__ __forceinline__ void put(float* gradient, size_t at, float value, bool accumulate) {
  if (gradient != nullptr) gradient[at] = accumulate ? gradient[at] + value : value;
}

// The thread's share of dgamma and dbeta of its column.
template <typename T, bool kVector>
__device__ __forceinline__ float2 column_gradients(const Job& job, int stripe, bool accumulate) {
  const int thread = static_cast<int>(threadIdx.x), lane = thread & 31, warp = thread >> 5;
  const int n = job.n, k = job.k, column = stripe * kColumns + lane, live = job.rows.count();
  const bool valid = column < k;
  const T* dout = static_cast<const T*>(job.dout);
  const T* weight = static_cast<const T*>(job.weight);
  const T* sum = static_cast<const T*>(job.sum);
  const float gamma = valid ? to_float(static_cast<const T*>(job.gamma)[column]) : 0.f;
  const float beta = valid ? to_float(static_cast<const T*>(job.beta)[column]) : 0.f;
  float2 gradients = make_float2(0.f, 0.f);
  for (int first = warp * kOutputs; first < n; first += kStripeWarps * kOutputs) {
    float product[kOutputs] = {}, bias[kOutputs] = {};
#pragma unroll 4
    for (int row = 0; row < live; ++row) {
      float d[kOutputs];
      load_columns<kVector>(d, dout + static_cast<size_t>(row) * n, first, n);
      const float x = valid ? to_float(sum[static_cast<size_t>(row) * k + column]) : 0.f;
      const float normed = (x - job.mean[row]) * job.rstd[row];
#pragma unroll
      for (int i = 0; i < kOutputs; ++i) {
        product[i] += d[i] * normed;
        bias[i] += d[i];
      }
    }
#pragma unroll
    for (int i = 0; i < kOutputs; ++i) {
      if (first + i >= n) continue;
      if (stripe == 0 && lane == i) put(job.dbias, first + i, bias[i], accumulate);
      if (!valid) continue;
      const size_t at = static_cast<size_t>(first + i) * k + column;
      const float w = to_float(weight[at]);
      gradients.x += w * product[i];
      gradients.y += w * bias[i];
      put(job.dweight, at, gamma * product[i] + beta * bias[i], accumulate);
    }
  }
  return gradients;
}

// Grid: the stripes of all jobs; block: kStripeWarps warps.
template <typename T>
__global__ void __launch_bounds__(kStripeWarps * 32) normed_linear_gradients_kernel(Jobs jobs) {
  simt::wait_for_previous();
  SHARED(sums, float[2][kStripeWarps][kColumns]);
  const int block = static_cast<int>(blockIdx.x), lane = static_cast<int>(threadIdx.x & 31);
  const int warp = static_cast<int>(threadIdx.x >> 5);
  int which = 0;
#pragma unroll
  for (int i = 1; i < kMostLinears; ++i) which = i < jobs.count && block >= jobs.job[i].first_block ? i : which;
  const Job job = pick(jobs.job, which);
  const int stripe = block - job.first_block, column = stripe * kColumns + lane;
  const float2 gradients = job.vectors ? column_gradients<T, true>(job, stripe, jobs.accumulate)
                                       : column_gradients<T, false>(job, stripe, jobs.accumulate);
  sums[0][warp][lane] = gradients.x;
  sums[1][warp][lane] = gradients.y;
  __syncthreads();
  if (warp >= 2 || column >= job.k) return;
  float total = 0.f;
#pragma unroll
  for (int i = 0; i < kStripeWarps; ++i) total += sums[warp][i][lane];
  put(warp == 0 ? job.dgamma : job.dbeta, column, total, jobs.accumulate);
}

}  // namespace

template <typename T>
void normed_linear_gradients(Context& context, const NormedLinearGradients& args) {
  for (int begin = 0; begin < args.count; begin += kMostLinears) {
    Jobs jobs{};
    jobs.accumulate = args.accumulate;
    int blocks = 0;
    for (int i = begin; i < args.count && jobs.count < kMostLinears; ++i) {
      const NormedLinear& linear = args.linears[i];
      const T* dout = scalars<T>(linear.dout);
      jobs.job[jobs.count++] = {.first_block = blocks,
                                .vectors = is_vectorizable<kOutputs>(dout, linear.n, linear.n),
                                .n = linear.n,
                                .k = linear.k,
                                .rows = context.rows(linear.rows),
                                .dout = dout,
                                .weight = linear.weight,
                                .sum = linear.sum,
                                .mean = floats(linear.mean),
                                .rstd = floats(linear.rstd),
                                .gamma = linear.gamma,
                                .beta = linear.beta,
                                .dweight = floats(linear.dweight),
                                .dbias = floats(linear.dbias),
                                .dgamma = floats(linear.dgamma),
                                .dbeta = floats(linear.dbeta)};
      blocks += static_cast<int>(ceil_div(linear.k, kColumns));
    }
    context.launch(normed_linear_gradients_kernel<T>, dim3(blocks), dim3(kStripeWarps * 32), 0, jobs);
  }
}

template void normed_linear_gradients<float>(Context&, const NormedLinearGradients&);
template void normed_linear_gradients<bf16>(Context&, const NormedLinearGradients&);

}  // namespace bertune::cuda
