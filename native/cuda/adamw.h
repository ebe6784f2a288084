// Norm of all gradients, clipping and AdamW, each in one launch over all segments.
#pragma once

#include "cuda/context.h"
#include "cuda/segments.h"

namespace bertune::cuda {

void grad_norm(Context& context, const SegmentTable& segments, Acc* norm);

// Also sets DeviceState.halted where the norm or the loss is not finite.
template <typename T>
void adamw(Context& context, const SegmentTable& segments, const OptimizerSettings& settings, const Acc* loss);

}  // namespace bertune::cuda
