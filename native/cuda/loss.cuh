// The losses of logits (B,NC), a row of a warp's at a time, as loss.cu and normed_classifier.cu share them.
//
// Cross-entropy against the batch's labels (B), with class weights w and label smoothing s:
//
//   loss = [(1 − s) · Σ_b −w_y log p_y + s / NC · Σ_b Σ_c −w_c log p_c] / Σ_b w_y
//   dlogits[b,c] = loss_scale · share / Σ_b w_y · [(1 − s) · w_y · (p_c − [c = y]) + s / NC · (p_c · Σ w − w_c)]
//
// with p = softmax(logits[b]) and y the label of b. Against the batch's targets y (B,NC), with x = logits[b,c]:
//
//   binary cross-entropy   loss = Σ w_c · [(1 − y) · log(1 + eˣ) + p_c · y · log(1 + e⁻ˣ)] / (B · NC)
//                          dlogits = loss_scale · share / (B · NC) · w_c · [(1 − y) · σ(x) − p_c · y · σ(−x)]
//   mean squared error     loss = Σ (x − y)² / (B · NC),   dlogits = loss_scale · share / (B · NC) · 2 (x − y)
//
// with σ(x) = 1 / (1 + e⁻ˣ). The focal loss with γ multiplies each −log p by (1 − p)^γ, and the gradient of each by
// (1 − p)^γ · (1 − γ p log p / (1 − p)), where p is the probability of what is true: p_y, σ(x) or σ(−x).
//
// A loss is a type: divisor(B, shared), by all threads of a block, is what the sum of all rows is divided by, and
// row(b, B, divisor), by a warp, writes row b's prediction and gradient and returns what the lane adds to that sum. Rows
// from B on are cleared, those that there are not left alone.
#pragma once

#include "cuda/context.h"
#include "cuda/reduce.cuh"
#include "cuda/scalar.cuh"

namespace bertune::cuda {

// How the sums of blocks become one.
struct BlockSums {
  float* partials;   // (blocks); unused by one block
  unsigned* ticket;  // (1) zero; unused by one block
};

template <typename T>
struct CrossEntropyLoss {
  int NC;
  float hard, smooth;  // 1 − s, s / NC
  float focal_gamma;
  float loss_scale;
  const double* share;         // (1) the step's
  RowCount rows;               // B
  const T* logits;             // (B,NC)
  const float* class_weights;  // (NC) or null
  const int32_t* labels;       // (B)
  float* loss;                 // (1)
  int32_t* predictions;        // (B) or null
  T* dlogits;                  // (B,NC) or null
  BlockSums sums;

  __device__ __forceinline__ float weight(int c) const { return class_weights ? class_weights[c] : 1.f; }
  __device__ __forceinline__ float divisor(int B, float* shared) const;
  __device__ __forceinline__ float row(int b, int B, float divisor) const;
};

// Σ over all blocks of the threads' values, in thread 0 of the block that finishes last, whose is_last is true.
__device__ __forceinline__ float sum_of_blocks(float value, const BlockSums& sums, float* shared, bool& is_last) {
  const int thread = static_cast<int>(threadIdx.x), lane = thread & 31, blocks = static_cast<int>(gridDim.x);
  float total = block_sum(value, shared);
  if (blocks > 1) {
    if (thread == 0) {
      sums.partials[blockIdx.x] = total;
      __threadfence();
      is_last = atomicAdd(sums.ticket, 1u) + 1 == gridDim.x;
      __threadfence();
    }
    __syncthreads();
    if (!is_last || thread >= 32) return 0.f;
    total = 0.f;
    for (int i = lane; i < blocks; i += 32) total += sums.partials[i];
    total = warp_sum(total);
    if (thread == 0) *sums.ticket = 0;
  } else if (thread == 0) {
    is_last = true;
  }
  return total;
}

__device__ __forceinline__ int warp_min(int value) {
#pragma unroll
  for (int offset = 16; offset > 0; offset >>= 1) value = min(value, __shfl_xor_sync(kAllLanes, value, offset));
  return value;
}

// Σ_b w_y, the same in every block.
template <typename T>
__device__ __forceinline__ float sum_label_weights(const CrossEntropyLoss<T>& args, int B, float* shared) {
  if (args.class_weights == nullptr) return static_cast<float>(B);
  float sum = 0.f;
  for (int b = static_cast<int>(threadIdx.x); b < B; b += static_cast<int>(blockDim.x)) {
    sum += args.class_weights[args.labels[b]];
  }
  return block_sum(sum, shared);
}

// What the focal loss multiplies −log p by, and its gradient.
struct Focus {
  float loss = 1.f, gradient = 1.f;

  // p, 1 − p and −log p
  __device__ __forceinline__ Focus(float gamma, float p, float rest, float surprise) {
    if (gamma == 0.f) return;
    loss = powf(rest, gamma);
    gradient = loss * (1.f + gamma * p * (rest > 0.f ? surprise / rest : 1.f));
  }
};

// −log p of row b's label and what it is multiplied by; `most` and `log_sum` are those of the row.
template <typename T>
__device__ __forceinline__ Focus focus_of(const CrossEntropyLoss<T>& args, const T* row, int y, float most,
                                          float log_sum, float& surprise) {
  surprise = log_sum - (to_float(row[y]) - most);
  if (args.focal_gamma == 0.f) return {0.f, 0.f, 0.f, 0.f};
  float others = 0.f;
  for (int c = static_cast<int>(threadIdx.x & 31); c < args.NC; c += 32) {
    if (c != y) others += expf(to_float(row[c]) - most - log_sum);
  }
  others = warp_sum(others);
  if (others < 0.5f) surprise = -log1pf(-others);  // precise where the label is all but sure
  return {args.focal_gamma, expf(-surprise), others, surprise};
}

// One warp: the loss of row b, not divided, its prediction and its gradient.
template <typename T>
__device__ __forceinline__ float row_loss(const CrossEntropyLoss<T>& args, int b, float label_weights) {
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
  float surprise = 0.f;
  const Focus focus = focus_of(args, row, y, most, log_sum, surprise);
  float loss = args.hard * label_weight * focus.loss * surprise;
  if (args.smooth != 0.f) {
    all_weights = warp_sum(all_weights);
    float spread = 0.f;
    for (int c = lane; c < NC; c += 32) spread += args.weight(c) * (to_float(row[c]) - most - log_sum);
    loss -= args.smooth * warp_sum(spread);
  }
  if (args.dlogits != nullptr) {
    T* drow = args.dlogits + static_cast<int64_t>(b) * NC;
    const float scale = args.loss_scale * static_cast<float>(*args.share) / label_weights;
    for (int c = lane; c < NC; c += 32) {
      const float p = expf(to_float(row[c]) - most - log_sum);
      const float gradient = args.hard * label_weight * focus.gradient * (p - (c == y ? 1.f : 0.f)) +
                             args.smooth * (p * all_weights - args.weight(c));
      drow[c] = from_float<T>(scale * gradient);
    }
  }
  return loss;
}

template <typename T>
__device__ __forceinline__ void clear_row(const CrossEntropyLoss<T>& args, int b) {
  const int NC = args.NC, lane = static_cast<int>(threadIdx.x & 31);
  if (args.predictions != nullptr && lane == 0) args.predictions[b] = 0;
  if (args.dlogits == nullptr) return;
  T* drow = args.dlogits + static_cast<int64_t>(b) * NC;
  for (int c = lane; c < NC; c += 32) drow[c] = from_float<T>(0.f);
}

// A part of a batch whose examples weigh nothing adds nothing to it.
template <typename T>
__device__ __forceinline__ float CrossEntropyLoss<T>::divisor(int B, float* shared) const {
  const float sum = sum_label_weights(*this, B, shared);
  return *share == 0. ? 1.f : sum;
}

template <typename T>
__device__ __forceinline__ float CrossEntropyLoss<T>::row(int b, int B, float divisor) const {
  if (b < B) {
    const float loss = row_loss(*this, b, divisor);
    return (threadIdx.x & 31) == 0 ? loss : 0.f;
  }
  if (b < rows.padded) clear_row(*this, b);
  return 0.f;
}

// log(1 + eˣ)
__device__ __forceinline__ float softplus(float x) { return fmaxf(x, 0.f) + log1pf(expf(-fabsf(x))); }
__device__ __forceinline__ float sigmoid(float x) { return 1.f / (1.f + expf(-x)); }

// A loss that is a sum over the elements of logits, as a type: x a logit, y its target, c its column.
struct BinaryElement {
  float focal_gamma;
  const float* class_weights;     // (NC) or null
  const float* positive_weights;  // (NC) or null

  static __device__ __forceinline__ float weight(const float* weights, int c) { return weights ? weights[c] : 1.f; }
  // Of a label that is there, whose logit is x; of one that is not, with −x.
  __device__ __forceinline__ Focus focus(float x) const { return {focal_gamma, sigmoid(x), sigmoid(-x), softplus(-x)}; }
  __device__ __forceinline__ float loss(float x, float y, int c) const {
    return weight(class_weights, c) *
           ((1.f - y) * focus(-x).loss * softplus(x) + weight(positive_weights, c) * y * focus(x).loss * softplus(-x));
  }
  __device__ __forceinline__ float slope(float x, float y, int c) const {
    return weight(class_weights, c) * ((1.f - y) * focus(-x).gradient * sigmoid(x) -
                                       weight(positive_weights, c) * y * focus(x).gradient * sigmoid(-x));
  }
  static __device__ __forceinline__ bool is_right(float x, float y) { return (x > 0.f) == (y > 0.5f); }
};
struct SquaredElement {
  __device__ __forceinline__ float loss(float x, float y, int) const { return (x - y) * (x - y); }
  __device__ __forceinline__ float slope(float x, float y, int) const { return 2.f * (x - y); }
  static __device__ __forceinline__ bool is_right(float, float) { return false; }
};

template <typename T, typename Element>
struct ElementLoss {
  Element element;
  int NC;
  float loss_scale;
  const double* share;   // (1) the step's
  RowCount rows;         // B
  const T* logits;       // (B,NC)
  const float* targets;  // (B,NC)
  float* loss;           // (1)
  int32_t* right;        // (B) or null
  T* dlogits;            // (B,NC) or null
  BlockSums sums;

  __device__ __forceinline__ float divisor(int B, float*) const {
    return static_cast<float>(B) * static_cast<float>(NC);
  }
  __device__ __forceinline__ float row(int b, int B, float divisor) const {
    if (b >= rows.padded) return 0.f;
    const int lane = static_cast<int>(threadIdx.x & 31);
    const int64_t first = static_cast<int64_t>(b) * NC;
    const bool live = b < B;
    const float scale = loss_scale * static_cast<float>(*share) / divisor;
    bool is_right = live;
    float sum = 0.f;
    for (int c = lane; c < NC; c += 32) {
      float slope = 0.f;
      if (live) {
        const float x = to_float(logits[first + c]), y = targets[first + c];
        sum += element.loss(x, y, c);
        slope = scale * element.slope(x, y, c);
        is_right = is_right && Element::is_right(x, y);
      }
      if (dlogits != nullptr) dlogits[first + c] = from_float<T>(slope);
    }
    if (right != nullptr) {
      const bool all = __all_sync(kAllLanes, is_right) != 0;
      if (lane == 0) right[b] = all ? 1 : 0;
    }
    return sum;
  }
};

inline BlockSums block_sums(Context& context, unsigned blocks) {
  if (blocks == 1) return {nullptr, nullptr};
  return {context.scratch.floats(blocks), context.scratch.tickets(1)};
}

// Of the operations' arguments, with sums of as many blocks as a kernel has.
template <typename T>
CrossEntropyLoss<T> loss_of(const Context& context, const CrossEntropy& args, const BlockSums& sums) {
  return {.NC = args.NC,
          .hard = static_cast<float>(1.0 - args.label_smoothing),
          .smooth = static_cast<float>(args.label_smoothing / args.NC),
          .focal_gamma = static_cast<float>(args.focal_gamma),
          .loss_scale = static_cast<float>(args.loss_scale),
          .share = &context.state->step.share,
          .rows = {context.batch.B, &context.state->step.loss_B},
          .logits = scalars<T>(args.logits),
          .class_weights = floats(args.class_weights),
          .labels = context.batch.labels,
          .loss = floats(args.loss),
          .predictions = args.predictions,
          .dlogits = scalars<T>(args.dlogits),
          .sums = sums};
}

template <typename T, typename Element, typename Args>
ElementLoss<T, Element> element_loss_of(const Context& context, const Args& args, const Element& element,
                                        int32_t* right, const BlockSums& sums) {
  return {.element = element,
          .NC = args.NC,
          .loss_scale = static_cast<float>(args.loss_scale),
          .share = &context.state->step.share,
          .rows = {context.batch.B, &context.state->step.loss_B},
          .logits = scalars<T>(args.logits),
          .targets = floats(context.batch.targets),
          .loss = floats(args.loss),
          .right = right,
          .dlogits = scalars<T>(args.dlogits),
          .sums = sums};
}

template <typename T>
ElementLoss<T, BinaryElement> loss_of(const Context& context, const BinaryCrossEntropy& args, const BlockSums& sums) {
  const BinaryElement element = {.focal_gamma = static_cast<float>(args.focal_gamma),
                                 .class_weights = floats(args.class_weights),
                                 .positive_weights = floats(args.positive_weights)};
  return element_loss_of<T>(context, args, element, args.right, sums);
}

template <typename T>
ElementLoss<T, SquaredElement> loss_of(const Context& context, const MeanSquaredError& args, const BlockSums& sums) {
  return element_loss_of<T>(context, args, SquaredElement{}, nullptr, sums);
}

}  // namespace bertune::cuda
