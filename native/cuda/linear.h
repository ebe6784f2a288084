// Linear layers: products by gemm.h, bias and activation around them.
#pragma once

#include "cuda/context.h"

namespace bertune::cuda {

template <typename T>
void linear_forward(Context& context, const LinearForward& args);
template <typename T>
void linear_backward_input(Context& context, const LinearBackwardInput& args);
template <typename T>
void linear_backward_weight(Context& context, const LinearBackwardWeight& args);

}  // namespace bertune::cuda
