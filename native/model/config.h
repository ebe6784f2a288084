// What is built: the dimensions of an encoder, the settings that the table of parameters does not show, and the
// adapters of the method that trains it. Letters as in core/backend.h.
#pragma once

#include <optional>
#include <vector>

#include "core/backend.h"
#include "model/parameters.h"

namespace bertune {

enum class Loss { kCrossEntropy, kBinaryCrossEntropy, kMeanSquaredError };

// What TypeScript says of an architecture beside its parameters.
struct ModelSettings {
  int heads;                   // NH
  int padding_id;              // its word embedding gets no gradient; −1: none
  int position_offset;         // row of the position table that a text's first token takes
  double eps;                  // of every LayerNorm
  Activation activation;       // of the feed-forward part
  Activation head_activation;  // behind the head's dense Linear
  // Probabilities of dropping, in [0, 1).
  double embedding_dropout, attention_dropout, attention_output_dropout, output_dropout;
  double head_input_dropout;        // in front of the head's dense Linear
  double head_dropout;              // in front of the classifier or the probe
  double probe_dropout;             // inside the probe
  Loss loss = Loss::kCrossEntropy;  // what training minimises
};

struct ModelConfig : ModelSettings {
  int V, E, C, L, F, NC;  // E: size of the embeddings, C unless a projection follows them
  int positions;          // rows of the position table
  int types;              // rows of the token type table; 0: there is none
  int P;                  // virtual tokens of a prefix; 0: none

  // Tokens of the longest text that fits behind so many virtual tokens.
  int longest(int prefix_tokens) const { return positions - position_offset - prefix_tokens; }
};

struct Magnitude;

// The low-rank updates: W x + b + scaling · B(A(dropout(x))) on each module.
struct LoraConfig {
  struct Update {
    Module module;
    double scaling;
    const Magnitude* magnitude = nullptr;  // of DoRA, where the session has one (magnitudes.h)
  };
  std::vector<Update> updates;
  double dropout;

  const Update* find(const Module& module) const;
};

// The dimensions that the rows show. Throws INVALID_OPTION unless every shape is as its role has it and no row or layer
// count is out of bounds; sizes that are merely larger than the machine's memory fail with OUT_OF_MEMORY when they are
// allocated.
ModelConfig model_config(const ModelSettings& settings, const std::vector<ParameterRow>& rows);

}  // namespace bertune
