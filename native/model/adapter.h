// One adapter beside the model's own parameters, for inference: low-rank updates of some linear modules or a prefix,
// and a classifier.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/arena.h"
#include "core/backend.h"
#include "model/parameters.h"

namespace bertune {

struct AdapterConfig {
  std::vector<std::string> modules;  // full names of those that are updated; empty: none
  int rank = 0;
  double scaling = 0;
  int virtual_tokens = 0;  // of a prefix; 0: none
  int labels = 0;          // classes of its classifier
};

// Host elements of a parameter; bytes / element size of them.
struct AdapterTensor {
  Dtype dtype;
  const uint8_t* data;
  size_t bytes;
};
using AdapterTensors = std::unordered_map<std::string, AdapterTensor>;

class Adapter {
 public:
  // Takes `<module>.lora_A.weight` (r,k), `<module>.lora_B.weight` (n,r), `prompt_encoder.embedding.weight` (P,2LC),
  // `classifier.weight` (NC,C) and `classifier.bias` (NC), of which the config tells which there are. Throws
  // INVALID_OPTION, NOT_FOUND (a tensor that is missing), SHAPE_MISMATCH, OUT_OF_MEMORY.
  Adapter(Backend& backend, ParameterTable& base, const ModelConfig& model, const AdapterConfig& config,
          const AdapterTensors& tensors);

  // The base weight of each module that is updated → its update.
  const std::unordered_map<const Parameter*, LowRankFactors>& updates() const { return updates_; }
  const LinearFactors& classifier() const { return classifier_; }
  int rank() const { return rank_; }
  int prefix_tokens() const { return prefix_tokens_; }
  const Real* prompt() const { return prompt_; }  // (P,2LC)
  size_t bytes() const { return arena_.bytes(); }

 private:
  int rank_, prefix_tokens_;
  Arena arena_;
  std::unordered_map<const Parameter*, LowRankFactors> updates_;
  LinearFactors classifier_{};
  const Real* prompt_ = nullptr;
};

}  // namespace bertune
