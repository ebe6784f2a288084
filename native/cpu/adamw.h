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
#pragma once

#include "core/backend.h"
#include "cpu/context.h"

namespace bertune {

template <typename T>
void grad_norm(Context& context, const OptimizerSegment* segments, int count, Acc* norm);
template <typename T>
void adamw(Context& context, const OptimizerSegment* segments, int count, const OptimizerSettings& settings,
           const Acc* loss);

}  // namespace bertune
