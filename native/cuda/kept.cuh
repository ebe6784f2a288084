// What is kept of a micro-batch, by whichever kernel is the last to be done with it (keep.cu, adamw.cu).
#pragma once

#include "cuda/context.h"
#include "cuda/scalar.cuh"

namespace bertune::cuda {

struct Kept {
  bool add;
  float scale;
  const float* loss;           // (1)
  const int32_t* predictions;  // (B) or null
  const int32_t* labels;       // (B)
  const int32_t* right;        // (B) or null
  const float* norm;           // (1) or null
  float* losses;               // (slots)
  float* norms;                // (slots)
  int32_t* correct;            // (slots)
};

inline Kept kept_of(const Context& context, const KeepStep& args) {
  return {.add = args.add,
          .scale = static_cast<float>(args.scale),
          .loss = floats(args.loss),
          .predictions = args.predictions,
          .labels = context.batch.labels,
          .right = args.right,
          .norm = floats(args.norm),
          .losses = floats(args.losses),
          .norms = floats(args.norms),
          .correct = args.correct};
}

// By all threads of one block, of which the first has seen the norm.
__device__ __forceinline__ void keep(const Kept& kept, const StepState& step) {
  const int threads = static_cast<int>(blockDim.x), thread = static_cast<int>(threadIdx.x);
  int right = 0;
  for (int first = 0; first < step.loss_B; first += threads) {
    const int b = first + thread;
    const bool counts =
        b < step.loss_B && step.counted != 0 &&
        (kept.predictions ? kept.predictions[b] == kept.labels[b] : kept.right != nullptr && kept.right[b] != 0);
    right += __syncthreads_count(counts);
  }
  if (thread != 0) return;
  const int slot = step.slot;
  const float loss = kept.scale * static_cast<float>(step.share) * *kept.loss;
  kept.losses[slot] = kept.add ? kept.losses[slot] + loss : loss;
  kept.correct[slot] = kept.add ? kept.correct[slot] + right : right;
  if (kept.norm != nullptr) kept.norms[slot] = *kept.norm;
}

}  // namespace bertune::cuda
