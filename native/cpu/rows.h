// The first row of each sequence, [CLS]:
//
//   forward    out[b] = inp[cu_seqlens[b]]      (T,C) → (B,C)
//   backward   dinp[cu_seqlens[b]] += dout[b]   (B,C) → (T,C), the other rows zero or left as they are
#pragma once

#include "core/backend.h"
#include "cpu/context.h"

namespace bertune {

template <typename T>
void first_rows_forward(Context& context, const FirstRowsForward& args);
template <typename T>
void first_rows_backward(Context& context, const FirstRowsBackward& args);

}  // namespace bertune
