// One adapter beside the model's own parameters, for inference: low-rank updates of some linear modules or a prefix,
// and a head.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/arena.h"
#include "core/backend.h"
#include "model/config.h"

namespace bertune {

struct AdapterConfig {
  struct Update {
    Module module;
    int rank;
    double scaling;
  };
  std::vector<Update> updates;
  int virtual_tokens = 0;  // of a prefix; 0: none
  int labels = 0;          // rows of its classifier
};

// Host elements of a parameter; bytes / element size of them.
struct AdapterTensor {
  std::string name;  // for errors
  Dtype dtype;
  const uint8_t* data;
  size_t bytes;
};
using AdapterTensors = std::map<Place, AdapterTensor>;

class Adapter {
 public:
  // Takes lora_A (r,k) and lora_B (n,r) of each update, with DoRA also its magnitude (n), the prompt (P,2LC), the
  // classifier (NC,C) with its bias, and the head's dense Linear (C,C) with its bias if the adapter has its own. Throws
  // INVALID_OPTION, NOT_FOUND (a missing tensor), SHAPE_MISMATCH, OUT_OF_MEMORY.
  Adapter(Backend& backend, ParameterTable& base, const ModelConfig& model, const AdapterConfig& config,
          const AdapterTensors& tensors);

  // The base weight of each updated module → its update.
  const std::unordered_map<const Parameter*, LowRankFactors>& updates() const { return updates_; }
  const LinearFactors& classifier() const { return classifier_; }
  // n = 0: the model's.
  const LinearFactors& head_dense() const { return head_dense_; }
  int rank() const { return rank_; }
  bool has_magnitudes() const { return has_magnitudes_; }
  int prefix_tokens() const { return prefix_tokens_; }
  const Real* prompt() const { return prompt_; }  // (P,2LC)
  size_t bytes() const { return arena_.bytes(); }

 private:
  int rank_, prefix_tokens_;
  bool has_magnitudes_ = false;
  Arena arena_;
  std::unordered_map<const Parameter*, LowRankFactors> updates_;
  LinearFactors classifier_{}, head_dense_{};
  const Real* prompt_ = nullptr;
};

}  // namespace bertune
