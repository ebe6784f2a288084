// The state travels as a kernel argument, which is copied when the kernel is launched: the host may go on to the next
// step at once, without a buffer that it would have to keep.
#include "cuda/step_state.h"

namespace bertune::cuda {
namespace {

// Grid 1, block 1.
__global__ void begin_step_kernel(DeviceState* state, StepState step) {
  simt::wait_for_previous();
  state->step = step;
}

// Grid 1, block 1.
__global__ void start_run_kernel(DeviceState* state, DeviceState* pending) {
  simt::wait_for_previous();
  for (int variant = 0; variant < kMostVariants; ++variant) state->halted[variant] = pending->halted[variant] = 0;
  pending->is_updated = 1;
}

}  // namespace

void begin_step(Context& context, const StepState& step) {
  context.launch(begin_step_kernel, dim3(1), dim3(1), 0, context.state, step);
}

void start_run(Context& context) {
  context.launch(start_run_kernel, dim3(1), dim3(1), 0, context.state, context.pending);
}

}  // namespace bertune::cuda
