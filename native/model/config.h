// What is built: BERT's dimensions and the method that trains it. Letters as in core/backend.h.
#pragma once

#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

namespace bertune {

enum class Loss { kCrossEntropy, kBinaryCrossEntropy, kMeanSquaredError };

struct ModelConfig {
  int V, C, L, NH, F, NC;
  int positions;   // rows of the position table
  int types;       // rows of the token type table
  int padding_id;  // its word embedding gets no gradient; −1: none
  double eps;      // of every LayerNorm
  double hidden_dropout, attention_dropout, classifier_dropout;
  Loss loss = Loss::kCrossEntropy;
};

struct LoraConfig {
  std::vector<std::string> modules;  // full names, e.g. bert.encoder.layer.0.attention.self.query
  int rank;
  double scaling;  // lora_alpha / rank
  double dropout;
};

struct PrefixConfig {
  int virtual_tokens;
  bool projection;
};

enum class Head { kClassifier, kProbe };

struct MethodConfig {
  Head head = Head::kClassifier;
  double probe_dropout = 0.0;
  std::optional<LoraConfig> lora;
  std::optional<PrefixConfig> prefix;
  std::unordered_set<std::string> trainable;
  std::unordered_set<std::string> decay;

  int prefix_tokens() const { return prefix ? prefix->virtual_tokens : 0; }
};

// The model, when its sizes can be computed with: throws INVALID_OPTION where a row or a layer count is out of bounds.
// Sizes that are merely larger than the machine's memory fail with OUT_OF_MEMORY when they are allocated.
const ModelConfig& checked(const ModelConfig& model, const MethodConfig& method);

}  // namespace bertune
