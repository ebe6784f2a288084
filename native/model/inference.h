// Logits of many examples: packed by a token budget, dropout off.
#pragma once

#include <cstdint>
#include <functional>

#include "model/bert.h"

namespace bertune {

// Writes the logits (count,NC) of the examples order[0..count) to `logits`, doubles or floats by `dtype`. Batches hold
// at most limits.tokens tokens (one example always fits) and limits.sequences sequences. Calls `proceed` between
// batches and throws ABORTED when it says false.
void infer(Bert& bert, const Dataset& dataset, const int32_t* order, int64_t count, BatchLimits limits, Dtype dtype,
           void* logits, const std::function<bool()>& proceed);

}  // namespace bertune
