// What to build: the dimensions of an encoder, the settings that the table of parameters does not show, and the adapters
// of the method that trains it. Letters as in core/backend.h.
#pragma once

#include <optional>
#include <vector>

#include "core/backend.h"
#include "model/parameters.h"

namespace bertune {

enum class Loss { kCrossEntropy, kBinaryCrossEntropy, kMeanSquaredError };

// What TypeScript says about an architecture beside its parameters.
struct ModelSettings {
  int heads;                   // NH
  int padding_id;              // its word embedding gets no gradient; −1: none
  int position_offset;         // row of the position table for a text's first token
  double eps;                  // of every LayerNorm
  Activation activation;       // of the feed-forward part
  Activation head_activation;  // after the head's dense Linear
  // Probabilities of dropping, in [0, 1).
  double embedding_dropout, attention_dropout, attention_output_dropout, output_dropout;
  double head_input_dropout;        // before the head's dense Linear
  double head_dropout;              // before the classifier or the probe
  double probe_dropout;             // inside the probe
  Loss loss = Loss::kCrossEntropy;  // what training minimizes
};

struct ModelConfig : ModelSettings {
  int V, E, C, L, F, NC;  // E: size of the embeddings, C unless a projection follows them
  int positions;          // rows of the position table
  int types;              // rows of the token type table; 0: none
  int P;                  // virtual tokens of a prefix; 0: none

  // The length in tokens of the longest text that fits after that many virtual tokens.
  int longest(int prefix_tokens) const { return positions - position_offset - prefix_tokens; }
};

struct Magnitude;

// The low-rank updates: W x + b + scaling · B(A(dropout(x))) on each module.
struct LoraConfig {
  struct Update {
    Module module;
    double scaling;
    const Magnitude* magnitude = nullptr;  // with DoRA, if the session has one (magnitudes.h)
  };
  std::vector<Update> updates;
  double dropout;

  const Update* find(const Module& module) const;
};

// Of each variant, at least one.
using LoraConfigs = std::vector<std::optional<LoraConfig>>;

// The dimensions that the rows show. Throws INVALID_OPTION unless every shape fits its role and the numbers of rows and
// layers are within bounds; sizes that merely exceed the machine's memory fail with OUT_OF_MEMORY when allocated.
ModelConfig model_config(const ModelSettings& settings, const std::vector<ParameterRow>& rows);

}  // namespace bertune
