// Activations row by row, for operations that end with one.
#pragma once

#include "core/backend.h"
#include "cpu/context.h"

namespace bertune {

// out = f(inp) for one row; in place if out == inp.
template <typename T>
void activation_row(Activation activation, int n, const T* inp /* (n) */, T* out /* (n) */);

// dinp = dout · f'(·) for one row, `saved` as in ActivationBackward; in place if dinp == dout.
template <typename T>
void activation_row_backward(Activation activation, int n, const T* saved /* (n) */, const T* dout /* (n) */,
                             T* dinp /* (n) */);

}  // namespace bertune
