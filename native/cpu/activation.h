// GELU(x) = x · Φ(x) with the exact normal distribution (erf, not its tanh approximation), tanh and ReLU.
//
//   forward    out = f(inp)            (rows,n)
//   backward   dinp = dout · f'        (rows,n), from what was saved:
//              GELU   Φ(x) + x · φ(x)    x: the preactivation
//              tanh   1 − y²             y: the output
//              ReLU   y > 0              y: the output
#pragma once

#include "core/backend.h"
#include "cpu/context.h"

namespace bertune {

template <typename T>
void activation_forward(Context& context, const ActivationForward& args);
template <typename T>
void activation_backward(Context& context, const ActivationBackward& args);

// out = f(inp) for one row, for operations that end in an activation; in place where out == inp.
template <typename T>
void activation_row(Activation activation, int n, const T* inp /* (n) */, T* out /* (n) */);

}  // namespace bertune
