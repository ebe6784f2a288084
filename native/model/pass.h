// What every layer needs to know about one pass of a batch through the model.
#pragma once

#include <unordered_map>
#include <vector>

#include "core/backend.h"

namespace bertune {

struct Parameter;
class LoraSums;
class RowSums;
class WeightGradients;

// What a pass over a batch of several adapters needs to know about them (adapter_set.h). It uses the model's own adapter
// only through the tables, where slot 0 is the model.
struct AdapterMix {
  const int32_t* slots;                                                        // of each example of the order
  const std::unordered_map<const Parameter*, const LowRankFactors*>* updates;  // of a module's weight (slots)
  bool has_magnitudes;                                                         // whether any of them has
  int rank;                                                                    // elements of a row of h
  Real* h;                                                                     // (T,rank) workspace
  const LinearFactors* head_dense;                                             // (slots) or null: the model's for all
  const LinearFactors* classifiers;                                            // (slots)
  int classes;                                                                 // elements of a row of logits
  Real* logits;                                                                // (B,classes)
  int prefix_tokens;                                                           // of the prefix of the whole batch
  const Real* prompt;                                                          // (P,2LC) or null

  const LowRankFactors* updates_of(const Parameter* weight) const {
    const auto found = updates->find(weight);
    return found == updates->end() ? nullptr : found->second;
  }
};

// The parts of a batch, its rows divided evenly: part i is of variant `variants[i]`.
struct BatchParts {
  int count = 1;
  int variants[kMostVariants] = {};
  int tokens = 0, sequences = 0;  // rows of a part, if there are several
};

struct Pass {
  Backend& backend;
  const Batch& batch;
  bool training;                    // dropout is on
  bool accumulate = false;          // parameter gradients add to those of earlier micro-batches
  const AdapterMix* mix = nullptr;  // of a batch of several adapters; inference
  LoraSums* lora_sums = nullptr;    // puts off sums of low-rank updates; null: each is computed at once
  RowSums* row_sums = nullptr;      // takes the gradients of biases and LayerNorms; null: each is computed at once
  // Computes gradients of weights beside what follows; null: each is computed at once.
  WeightGradients* weight_gradients = nullptr;
  // Marks of updates under way, of the embeddings, each layer and the head, which forward waits for; null: none are.
  const std::vector<int>* updates = nullptr;

  BatchParts parts{};

  // The same pass, but `sums` takes the sums over rows; null: none are put off.
  Pass with(RowSums* sums) const {
    Pass pass = *this;
    pass.row_sums = sums;
    return pass;
  }
  // `stage`: 0 the embeddings, then the layers, then the head.
  void wait_for_update(int stage) const {
    if (updates) backend.wait_for((*updates)[static_cast<size_t>(stage)]);
  }

  Rows tokens() const { return {RowKind::kTokens, batch.T}; }
  Rows sequences() const { return {RowKind::kSequences, batch.B}; }
  // Of all the batch's rows, those of one part.
  Rows of_part(Rows rows) const {
    if (parts.count == 1) return rows;
    return {rows.kind, rows.kind == RowKind::kTokens ? parts.tokens : parts.sequences};
  }
  Dropout dropout(double p, uint32_t site) const { return {training ? p : 0.0, site}; }
};

// The dropouts of the model, numbered so that no two share a mask. A layer's own sites start at layer_site(l).
enum Site : uint32_t {
  kEmbeddingSite = 0,
  kFeatureSite = 1,
  kProbeSite = 2,
  kHeadDenseLoraSite = 3,
  kEmbeddingProjectionLoraSite = 4,
  kHeadInputSite = 5,
  // within a layer
  kAttentionSite = 0,
  kAttentionOutputSite = 1,
  kOutputSite = 2,
  kLoraSite = 3,  // and the five after it: query, key, value, attention output, intermediate, output
};
inline uint32_t layer_site(int layer, uint32_t site) { return 16u * static_cast<uint32_t>(layer + 1) + site; }

}  // namespace bertune
