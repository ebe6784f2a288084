// Logits of many examples: packed by a token budget, dropout off.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "model/bert.h"

namespace bertune {

// Which adapter each example of an order is given to, by slot (adapter_set.h).
using Slots = std::vector<int32_t>;

// Writes the logits (count,NC) of the examples order[0..count) to `logits`, doubles or floats by `dtype`. Batches hold
// at most limits.tokens tokens (one example always fits) and limits.sequences sequences. Calls `proceed` between
// batches and throws ABORTED when it says false.
//
// With `slots` (count), each example is given to its adapter, and its row is the first of bert.adapters().classes()
// elements. A batch mixes low-rank adapters as it likes; one with a prefix has it in common, so that batches end where
// the prefix changes. Throws INVALID_DATA for a text that does not fit behind its prefix.
void infer(Bert& bert, const Dataset& dataset, const int32_t* order, int64_t count, BatchLimits limits,
           const Slots* slots, Dtype dtype, void* logits, const std::function<bool()>& proceed);

}  // namespace bertune
