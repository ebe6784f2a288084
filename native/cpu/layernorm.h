// LayerNorm row by row, for operations that contain one.
#pragma once

#include "core/backend.h"
#include "cpu/context.h"

namespace bertune {

// One row. `out` may be `sum`.
template <typename T>
void layernorm_row(int C, T eps, const T* sum /* (C) */, const T* gamma /* (C) */, const T* beta /* (C) */,
                   T* mean /* (1) */, T* rstd /* (1) */, T* out /* (C) */);

// One row's backward: writes dsum, which may be dout or null, and adds to dgamma and dbeta unless dgamma is null.
template <typename T>
void layernorm_row_backward(int C, const T* dout /* (C) */, const T* sum /* (C) */, T mean, T rstd,
                            const T* gamma /* (C) */, T* dsum /* (C) */, T* dgamma /* (C) */, T* dbeta /* (C) */);

// Zero-filled sums of dgamma and dbeta (threads,2,C), one pair per thread, in the context's shared scratch memory.
template <typename T>
T* affine_partials(Context& context, int C);

// Assigns or adds the sums over threads to dgamma and dbeta, either of which may be null.
template <typename T>
void add_affine_partials(const Context& context, int C, const T* partials, bool accumulate, T* dgamma /* (C) */,
                         T* dbeta /* (C) */);

}  // namespace bertune
