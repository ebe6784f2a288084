// Dropout by itself; device_state.h has the mask that other operations fuse.
#pragma once

#include "cuda/context.h"

namespace bertune::cuda {

template <typename T>
void dropout_apply(Context& context, const DropoutApply& args);

}  // namespace bertune::cuda
