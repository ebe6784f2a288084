// Sums over the rows of a matrix, one per column: gradients of biases and of LayerNorm's parameters. One launch, in a
// fixed order.
#pragma once

#include "cuda/context.h"

namespace bertune::cuda {

// dbias (n) = or += Σ over live rows of dout (rows,n)
template <typename T>
void column_sums(Context& context, RowCount rows, int n, int stride, bool accumulate, const T* dout, float* dbias);

// dgamma (C) = or += Σ dout · (sum − mean) · rstd,  dbeta (C) = or += Σ dout; either may be null.
template <typename T>
void layernorm_parameter_sums(Context& context, RowCount rows, int C, bool accumulate, const T* dout /* (rows,C) */,
                              const T* sum /* (rows,C) */, const float* mean /* (rows) */,
                              const float* rstd /* (rows) */, float* dgamma, float* dbeta);
// The same for dropout(dout).
template <typename T>
void layernorm_parameter_sums(Context& context, RowCount rows, int C, bool accumulate, const DropoutMask& mask,
                              const T* dout /* (rows,C) */, const T* sum /* (rows,C) */, const float* mean /* (rows) */,
                              const float* rstd /* (rows) */, float* dgamma, float* dbeta);

}  // namespace bertune::cuda
