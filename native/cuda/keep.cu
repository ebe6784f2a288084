// The loss, the norm and the number of right predictions of a micro-batch, kept in its step's slot; logits, kept at
// their example's place. Both read from device memory where that is, so that a recorded step can be replayed.
#include <algorithm>

#include "cuda/kept.cuh"
#include "cuda/operations.h"
#include "cuda/scalar.cuh"

namespace bertune::cuda {
namespace {

constexpr int kKeepThreads = 256;

// Grid: one block of kKeepThreads at most, a multiple of 32.
__global__ void __launch_bounds__(kKeepThreads) keep_step_kernel(Kept kept, const DeviceState* state) {
  simt::wait_for_previous();
  keep(kept, state->step);
}

// Grid: a block for each kKeepThreads of (padded B) · NC elements; block: kKeepThreads. logits (padded B,NC).
template <typename T>
__global__ void __launch_bounds__(kKeepThreads) keep_logits_kernel(int NC, const T* logits, const DeviceState* state) {
  simt::wait_for_previous();
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kKeepThreads + threadIdx.x;
  const int64_t live = static_cast<int64_t>(state->step.B) * NC;
  float* kept = floats(state->step.kept_logits) + static_cast<int64_t>(state->step.order_begin) * NC;
  if (i < live) kept[i] = to_float(logits[i]);
}

}  // namespace

template <typename T>
void keep_step(Context& context, const KeepStep& args) {
  const unsigned threads = std::clamp(ceil_div(context.batch.B, 32) * 32, 32u, unsigned{kKeepThreads});
  context.launch(&keep_step_kernel, 1, threads, 0, kept_of(context, args), context.state);
}

template <typename T>
void keep_logits(Context& context, const KeepLogits& args) {
  const int64_t count = static_cast<int64_t>(context.batch.B) * args.NC;
  if (count == 0) return;
  context.launch(&keep_logits_kernel<T>, ceil_div(count, kKeepThreads), kKeepThreads, 0, args.NC,
                 scalars<T>(args.logits), context.state);
}

template void keep_step<float>(Context&, const KeepStep&);
template void keep_step<bf16>(Context&, const KeepStep&);
template void keep_logits<float>(Context&, const KeepLogits&);
template void keep_logits<bf16>(Context&, const KeepLogits&);

}  // namespace bertune::cuda
