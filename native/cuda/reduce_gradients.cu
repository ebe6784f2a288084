// gradients = Σ over the ranks of their gradients, and the loss is NaN on all where that of one is not finite. The loss is
// not part of the sum, so a flag goes along that counts those that are not.
#include "core/gradient_runs.h"
#include "cuda/reduce_gradients.h"

namespace bertune::cuda {
namespace {

// Grid 1, block 1.
__global__ void flag_kernel(const float* loss, float* flag) {
  simt::wait_for_previous();
  *flag = isfinite(*loss) ? 0.f : 1.f;
}

// Grid 1, block 1.
__global__ void spread_kernel(const float* flag, float* loss) {
  simt::wait_for_previous();
  if (*flag != 0.f) *loss = NAN;
}

}  // namespace

void reduce_gradients(Context& context, NcclRanks& ranks, const OptimizerSegment* segments, int count, float* loss) {
  context.launch(flag_kernel, dim3(1), dim3(1), 0, static_cast<const float*>(loss), ranks.flag());
  std::vector<NcclRanks::Array> arrays = {{ranks.flag(), 1, ncclFloat32}};
  for_gradient_runs<float>(segments, 0, count, [&](float* first, int64_t n) {
    arrays.push_back({first, static_cast<size_t>(n), ncclFloat32});
  });
  ranks.all_reduce(arrays);
  context.launch(spread_kernel, dim3(1), dim3(1), 0, static_cast<const float*>(ranks.flag()), loss);
}

}  // namespace bertune::cuda
