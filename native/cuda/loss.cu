// Cross-entropy of logits (B,NC) against the batch's labels (B), with class weights w and label smoothing s:
//
//   loss = [(1 − s) · Σ_b −w_y log p_y + s / NC · Σ_b Σ_c −w_c log p_c] / Σ_b w_y
//   dlogits[b,c] = loss_scale / Σ_b w_y · [(1 − s) · w_y · (p_c − [c = y]) + s / NC · (p_c · Σ w − w_c)]
//
// with p = softmax(logits[b]) and y the label of b. A warp has a row. Up to 32 rows are one block, which needs no
// other; of more, each block leaves the sum of its rows' losses in scratch memory, and the last to finish adds them in
// order.
#include <algorithm>

#include "cuda/operations.h"
#include "cuda/reduce.cuh"
#include "cuda/scalar.cuh"

namespace bertune::cuda {
namespace {

constexpr int kMostWarps = 32;  // rows of a block that is alone
constexpr int kWarps = 8;       // rows of one of several

template <typename T>
struct Loss {
  int NC;
  float hard, smooth;  // 1 − s, s / NC
  float loss_scale;
  RowCount rows;               // B
  const T* logits;             // (B,NC)
  const float* class_weights;  // (NC) or null
  const int32_t* labels;       // (B)
  float* loss;                 // (1)
  int32_t* predictions;        // (B) or null
  T* dlogits;                  // (B,NC) or null
  float* partials;             // (blocks); unused by one block
  unsigned* ticket;            // (1) zero; unused by one block

  __device__ __forceinline__ float weight(int c) const { return class_weights ? class_weights[c] : 1.f; }
};

__device__ __forceinline__ int warp_min(int value) {
#pragma unroll
  for (int offset = 16; offset > 0; offset >>= 1) value = min(value, __shfl_xor_sync(kAllLanes, value, offset));
  return value;
}

// Σ_b w_y, the same in every block.
template <typename T>
__device__ __forceinline__ float sum_label_weights(const Loss<T>& args, int B, float* shared) {
  if (args.class_weights == nullptr) return static_cast<float>(B);
  float sum = 0.f;
  for (int b = static_cast<int>(threadIdx.x); b < B; b += static_cast<int>(blockDim.x)) {
    sum += args.class_weights[args.labels[b]];
  }
  return block_sum(sum, shared);
}

// One warp: the loss of row b, not divided, its prediction and its gradient.
template <typename T>
__device__ __forceinline__ float row_loss(const Loss<T>& args, int b, float label_weights) {
  const int NC = args.NC, lane = static_cast<int>(threadIdx.x & 31);
  const T* row = args.logits + static_cast<int64_t>(b) * NC;
  const int y = args.labels[b];

  float most = -INFINITY;
  for (int c = lane; c < NC; c += 32) most = fmaxf(most, to_float(row[c]));
  most = warp_max(most);
  float sum = 0.f, all_weights = 0.f;
  int first = NC;  // class of the largest logit
  for (int c = lane; c < NC; c += 32) {
    const float x = to_float(row[c]);
    if (x == most) first = min(first, c);
    sum += expf(x - most);
    all_weights += args.weight(c);
  }
  const float log_sum = logf(warp_sum(sum));
  if (args.predictions != nullptr) {
    first = warp_min(first);
    if (lane == 0) args.predictions[b] = first < NC ? first : 0;  // a row of NaN has no largest
  }

  const float label_weight = args.weight(y);
  float loss = -args.hard * label_weight * (to_float(row[y]) - most - log_sum);
  if (args.smooth != 0.f) {
    all_weights = warp_sum(all_weights);
    float spread = 0.f;
    for (int c = lane; c < NC; c += 32) spread += args.weight(c) * (to_float(row[c]) - most - log_sum);
    loss -= args.smooth * warp_sum(spread);
  }
  if (args.dlogits != nullptr) {
    T* drow = args.dlogits + static_cast<int64_t>(b) * NC;
    const float scale = args.loss_scale / label_weights;
    for (int c = lane; c < NC; c += 32) {
      const float p = expf(to_float(row[c]) - most - log_sum);
      const float gradient =
          args.hard * label_weight * (p - (c == y ? 1.f : 0.f)) + args.smooth * (p * all_weights - args.weight(c));
      drow[c] = from_float<T>(scale * gradient);
    }
  }
  return loss;
}

template <typename T>
__device__ __forceinline__ void clear_row(const Loss<T>& args, int b) {
  const int NC = args.NC, lane = static_cast<int>(threadIdx.x & 31);
  if (args.predictions != nullptr && lane == 0) args.predictions[b] = 0;
  if (args.dlogits == nullptr) return;
  T* drow = args.dlogits + static_cast<int64_t>(b) * NC;
  for (int c = lane; c < NC; c += 32) drow[c] = from_float<T>(0.f);
}

// Grid: as many blocks as padded rows need; block: kWarps warps, or one for each row where that is at most kMostWarps.
template <typename T>
__global__ void __launch_bounds__(kMostWarps * 32) cross_entropy_kernel(Loss<T> args) {
  SHARED(shared, float[33]);
  SHARED(is_last, bool);
  const int thread = static_cast<int>(threadIdx.x), lane = thread & 31, blocks = static_cast<int>(gridDim.x);
  const int B = args.rows.count();
  const float label_weights = sum_label_weights(args, B, shared);
  const int b = static_cast<int>(blockIdx.x * (blockDim.x >> 5)) + (thread >> 5);
  float loss = 0.f;
  if (b < B) {
    loss = row_loss(args, b, label_weights);
  } else if (b < args.rows.padded) {
    clear_row(args, b);
  }
  float total = block_sum(lane == 0 ? loss : 0.f, shared);
  if (blocks > 1) {
    if (thread == 0) {
      args.partials[blockIdx.x] = total;
      __threadfence();
      is_last = atomicAdd(args.ticket, 1u) + 1 == gridDim.x;
      __threadfence();
    }
    __syncthreads();
    if (!is_last || thread >= 32) return;
    total = 0.f;
    for (int i = lane; i < blocks; i += 32) total += args.partials[i];
    total = warp_sum(total);
    if (thread == 0) *args.ticket = 0;
  }
  if (thread == 0) *args.loss = total / label_weights;
}

}  // namespace

template <typename T>
void cross_entropy(Context& context, const CrossEntropy& args) {
  const int B = context.batch.B;
  const unsigned warps = B <= kMostWarps ? std::max(B, 1) : kWarps;
  const unsigned blocks = std::max(ceil_div(B, warps), 1u);
  const Loss<T> loss = {.NC = args.NC,
                        .hard = static_cast<float>(1.0 - args.label_smoothing),
                        .smooth = static_cast<float>(args.label_smoothing / args.NC),
                        .loss_scale = static_cast<float>(args.loss_scale),
                        .rows = context.rows({RowKind::kSequences, B}),
                        .logits = scalars<T>(args.logits),
                        .class_weights = floats(args.class_weights),
                        .labels = context.batch.labels,
                        .loss = floats(args.loss),
                        .predictions = args.predictions,
                        .dlogits = scalars<T>(args.dlogits),
                        .partials = blocks > 1 ? context.scratch.floats(blocks) : nullptr,
                        .ticket = blocks > 1 ? context.scratch.tickets(1) : nullptr};
  context.launch(&cross_entropy_kernel<T>, blocks, warps * 32, 0, loss);
}

template void cross_entropy<float>(Context&, const CrossEntropy&);
template void cross_entropy<bf16>(Context&, const CrossEntropy&);

}  // namespace bertune::cuda
