// The first token of each sequence, forward and backward.
#pragma once

#include "cuda/context.h"

namespace bertune::cuda {

template <typename T>
void first_rows_forward(Context& context, const FirstRowsForward& args);
template <typename T>
void first_rows_backward(Context& context, const FirstRowsBackward& args);

}  // namespace bertune::cuda
