// GELU(x) = x · Φ(x) with the exact normal distribution (erf) or its tanh approximation, tanh, ReLU and SiLU.
//
//   forward    out = f(inp)            (rows,n)
//   backward   dinp = dout · f'        (rows,n), from what was saved, x the preactivation and y the output:
//              GELU, erf    x · Φ(x)         Φ(x) + x · φ(x)                        x
//              GELU, tanh   x · σ(2u(x))     σ + 2x · σ · (1 − σ) · u'(x)           x
//              tanh         tanh(x)          1 − y²                                 y
//              ReLU         max(x, 0)        y > 0                                  x or y
//              SiLU         x · σ(x)         σ + x · σ · (1 − σ)                    x
//
// σ(z) = 1 / (1 + e^(−z)) and u(x) = √(2/π) · (x + 0.044715 x³): x · σ(2u) is x / 2 · (1 + tanh u) without the
// cancellation where u is far below zero.
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
