// Packs sequences order[0..B) of a dataset into the batch's arrays, and makes the batch the context's current one.
//
//   ids, token_types, positions (T), labels (B), targets (B,NC), cu_seqlens (B + 1)
//   tokens_by_id, tokens_by_position (T): token indices sorted by (id, index) and (position, index)
#pragma once

#include "core/backend.h"
#include "cpu/context.h"

namespace bertune {

template <typename T>
void gather_batch(Context& context, const GatherBatch& args, Batch& batch);

}  // namespace bertune
