// What a parameter is to the model. A role, its layer and its part name a parameter; the names that files give it stay
// in TypeScript, which sends the table with the roles of its rows (lib/architectures/rows.ts).
#pragma once

#include <compare>
#include <string>

namespace bertune {

#define BERTUNE_ROLES(X)                          \
  X(kWord, "word")                                \
  X(kPosition, "position")                        \
  X(kTokenType, "token_type")                     \
  X(kEmbeddingNorm, "embedding_norm")             \
  X(kEmbeddingProjection, "embedding_projection") \
  X(kQuery, "query")                              \
  X(kKey, "key")                                  \
  X(kValue, "value")                              \
  X(kAttentionOutput, "attention_output")         \
  X(kAttentionNorm, "attention_norm")             \
  X(kIntermediate, "intermediate")                \
  X(kOutput, "output")                            \
  X(kOutputNorm, "output_norm")                   \
  X(kHeadDense, "head_dense")                     \
  X(kClassifier, "classifier")                    \
  X(kProbeNorm, "probe_norm")                     \
  X(kProbeDense, "probe_dense")                   \
  X(kProbeOutputNorm, "probe_output_norm")        \
  X(kPrompt, "prompt")                            \
  X(kPromptDense, "prompt_dense")                 \
  X(kPromptOutput, "prompt_output")

enum class Role {
#define BERTUNE_ROLE(role, word) role,
  BERTUNE_ROLES(BERTUNE_ROLE)
#undef BERTUNE_ROLE
};

enum class Part { kWeight, kBias, kLoraA, kLoraB, kMagnitude };

// The layer of what is outside of the encoder's layers.
constexpr int kNoLayer = -1;

// A Linear, a LayerNorm or a table of embeddings.
struct Module {
  Role role;
  int layer = kNoLayer;
  auto operator<=>(const Module&) const = default;
};

struct Place {
  Module module;
  Part part;
  auto operator<=>(const Place&) const = default;
};

// From and to the words of lib/native/roles.ts. Throw INVALID_OPTION for a word that is none.
Role role_of(const std::string& word);
Part part_of(const std::string& word);
// For errors, e.g. "query of layer 3".
std::string describe(const Module& module);
std::string describe(const Place& place);

// Whether the module belongs to an encoder layer or to the embeddings, and whether it is a Linear.
bool is_in_layer(Role role);
bool is_embedding(Role role);
bool is_linear(Role role);

}  // namespace bertune
