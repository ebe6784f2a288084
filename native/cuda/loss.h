// Softmax cross-entropy and its gradient.
#pragma once

#include "cuda/context.h"

namespace bertune::cuda {

template <typename T>
void cross_entropy(Context& context, const CrossEntropy& args);

}  // namespace bertune::cuda
