// Backend::reduce_gradients on a GPU.
#pragma once

#include "cuda/context.h"
#include "cuda/nccl_ranks.h"

namespace bertune::cuda {

void reduce_gradients(Context& context, NcclRanks& ranks, const OptimizerSegment* segments, int count,
                      float* loss /* (1) */);

}  // namespace bertune::cuda
