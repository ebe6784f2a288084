// Logits of many examples, batch by batch, dropout off.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "model/sequence_classifier.h"

namespace bertune {

// The adapter for each example of an order, by slot (adapter_set.h).
using Slots = std::vector<int32_t>;

// The most tokens and the most sequences in any of the batches order[starts[i] .. starts[i + 1]). Throws INVALID_OPTION if
// one has 2^31 tokens or more.
BatchLimits largest_batch(const Dataset& dataset, const std::vector<int32_t>& order,
                          const std::vector<int32_t>& starts);

// Writes the logits (N,NC) of the examples in `order` (N) to `logits`, doubles or floats by `dtype`. Batch i is
// order[starts[i] .. starts[i + 1]); the last of `starts` is N. Calls `proceed` between batches and throws ABORTED if it
// returns false.
//
// With `slots` (N), each example goes to its adapter, and rows have classifier.adapters().classes() elements, of which the
// adapter's come first. A batch may mix low-rank adapters freely; a prefix must be common to the whole batch. Throws INVALID_OPTION for
// a batch of several prefixes and INVALID_DATA for a text that does not fit behind its prefix.
void infer(SequenceClassifier& classifier, const Dataset& dataset, const std::vector<int32_t>& order,
           const std::vector<int32_t>& starts, const Slots* slots, Dtype dtype, void* logits,
           const std::function<bool()>& proceed);

}  // namespace bertune
