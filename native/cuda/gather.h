// Packs a batch from the resident data set.
#pragma once

#include "cuda/context.h"

namespace bertune::cuda {

void gather_batch(Context& context, const GatherBatch& args, Batch& batch);

}  // namespace bertune::cuda
