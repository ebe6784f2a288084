// out = activation(inp · weightᵀ + bias)
//
//   forward           inp (rows,k), weight (n,k), bias (n) → out (rows,n); the preactivation is saved where asked for
//   backward_input    dinp = dout · weight      (rows,n) (n,k) → (rows,k)
//   backward_weight   dweight = doutᵀ · inp     (rows,n) (rows,k) → (n,k);   dbias = Σ rows of dout (n)
//
// The backward of the activation is activation.h's.
//
// Threads take rows of the result where there are many and columns where there are few, and all rows of a column block
// for the weight gradient, so every sum over k, n or rows is made by one thread.
#pragma once

#include "core/backend.h"
#include "cpu/context.h"

namespace bertune {

template <typename T>
void linear_forward(Context& context, const LinearForward& args);
template <typename T>
void linear_backward_input(Context& context, const LinearBackwardInput& args);
template <typename T>
void linear_backward_weight(Context& context, const LinearBackwardWeight& args);

}  // namespace bertune
