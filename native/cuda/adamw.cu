#include "cuda/adamw.h"
#include "cuda/scalar.cuh"

namespace bertune::cuda {

void grad_norm(Context&, const SegmentTable&, Acc*) { throw Error("INTERNAL", "grad_norm is not written yet"); }
template <typename T>
void adamw(Context&, const SegmentTable&, const OptimizerSettings&, const Acc*) {
  throw Error("INTERNAL", "adamw is not written yet");
}
template void adamw<float>(Context&, const SegmentTable&, const OptimizerSettings&, const Acc*);
template void adamw<bf16>(Context&, const SegmentTable&, const OptimizerSettings&, const Acc*);

}  // namespace bertune::cuda
