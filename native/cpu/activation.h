// Activations row by row, for operations that end in one.
#pragma once

#include "core/backend.h"
#include "cpu/context.h"

namespace bertune {

// out = f(inp) for one row, for operations that end in an activation; in place where out == inp.
template <typename T>
void activation_row(Activation activation, int n, const T* inp /* (n) */, T* out /* (n) */);

}  // namespace bertune
