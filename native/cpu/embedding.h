// sum[t] = word[id] + token_type[type] + position[P + p];   out = dropout(LayerNorm(sum))
//
// Tables (V,C), (types,C) or none, (positions,C) → (T,C). Saved: sum (T,C), mean and rstd (T).
// Backward: dsum is LayerNorm's backward of the dropout of dout; each row of a table's gradient is the sum of dsum over
// the tokens that met it, in token order. Threads take whole segments of equal ids or positions, so that the sums do
// not depend on their number.
#pragma once

#include "core/backend.h"
#include "cpu/context.h"

namespace bertune {

template <typename T>
void embedding_forward(Context& context, const EmbeddingForward& args);
template <typename T>
void embedding_backward(Context& context, const EmbeddingBackward& args);

}  // namespace bertune
