// Results that stay on the device until the host reads them.
#pragma once

#include "cuda/context.h"

namespace bertune::cuda {

template <typename T>
void keep_step(Context& context, const KeepStep& args);
template <typename T>
void keep_logits(Context& context, const KeepLogits& args);

}  // namespace bertune::cuda
