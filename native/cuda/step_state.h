// Writes the state of the next micro-batch where kernels read it.
#pragma once

#include "cuda/context.h"

namespace bertune::cuda {

void begin_step(Context& context, const StepState& step);
void start_run(Context& context);

}  // namespace bertune::cuda
