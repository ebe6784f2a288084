#include "cuda/gather.h"

namespace bertune::cuda {

void gather_batch(Context&, const GatherBatch&, Batch&) { throw Error("INTERNAL", "gather_batch is not written yet"); }

}  // namespace bertune::cuda
