// The table of parameters: what each is to the model, its shape, whether it trains and decays, and its memory. Its rows
// come from TypeScript; the model finds them by their roles.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/arena.h"
#include "core/backend.h"
#include "model/roles.h"

namespace bertune {

// A row as TypeScript sends it.
struct ParameterRow {
  std::string name;  // for read, write and initialize; nothing else looks at it
  Place place;
  std::vector<int64_t> shape;
  bool trainable = false;
  bool decay = false;
  double rate = 1;  // factor of the learning rate
  int variant = 0;  // whose it is; variant 0 also has what all share
};

struct Parameter {
  std::string name;
  Place place;
  std::vector<int64_t> shape;
  int64_t count = 0;
  bool trainable = false;
  bool decay = false;
  double rate = 1;
  int variant = 0;
  // Keeps a master even if frozen: if a row's magnitude is rounded, so is everything that the row makes.
  bool precise = false;
  // Follows the parameter before it directly in memory, so that one GEMM can serve both (query, key, value).
  bool joined = false;

  Real* weight = nullptr;  // (shape) compute scalar
  // (shape) the weight's master (core/backend.h); null for a frozen parameter that is not precise, unless it is the weight
  // itself
  Master* master = nullptr;
  Acc* grad = nullptr;  // (shape) the rest: null for a frozen parameter. Of the word embeddings (gradient_rows,C)
  Acc* m = nullptr;
  Acc* v = nullptr;
  int gradient_rows = 0;  // of word embeddings that train; those that are fewer than theirs are compact
};

// Whether it is the model's own, of no adapter.
inline bool is_base(const Place& place) { return place.part == Part::kWeight || place.part == Part::kBias; }

// Reads the gradient of a parameter that trains, with those rows that a compact one leaves out.
void read_gradient(Backend& backend, const Parameter& parameter, Dtype dtype, void* host);

class ParameterTable {
 public:
  // Throws INVALID_OPTION for rows of one variant with the same name or place, and for keys and values that do not follow their queries.
  explicit ParameterTable(const std::vector<ParameterRow>& rows);

  // Allocates one block for the weights, one for the gradients and one for the moments. The word embeddings' gradient waits
  // for reserve_word_gradient: its size depends on the steps.
  void allocate(Backend& backend);
  // How many rows that needs for steps of at most `tokens` tokens, and how many it has.
  int word_gradient_rows(const Backend& backend, int tokens) const;
  int word_gradient_rows() const { return word_ ? word_->gradient_rows : 0; }
  // Allocates it with so many rows, unless it has them. Throws OUT_OF_MEMORY, and then it has none.
  void reserve_word_gradient(Backend& backend, int rows);

  // The variant's own, or else what all share. Throw NOT_FOUND.
  Parameter& at(const std::string& name, int variant);
  Parameter& at(const Module& module, Part part, int variant = 0);
  // Whether the variant has it, as its own.
  bool has(const Module& module, Part part = Part::kWeight, int variant = 0) const {
    return by_place_.count({{module, part}, variant}) != 0;
  }
  const std::deque<Parameter>& all() const { return parameters_; }
  // What the optimizer updates of a variant.
  const std::vector<OptimizerSegment>& segments(int variant = 0) const { return segments_[variant]; }
  int variants() const { return static_cast<int>(segments_.size()); }

  size_t weight_bytes() const { return weights_.bytes(); }
  size_t gradient_bytes() const { return gradients_.bytes() + word_gradient_.bytes(); }
  size_t optimizer_bytes() const { return moments_.bytes(); }

 private:
  std::deque<Parameter> parameters_;  // a deque: pointers to its elements stay valid
  std::map<std::pair<std::string, int>, Parameter*> by_name_;
  std::map<std::pair<Place, int>, Parameter*> by_place_;
  std::vector<std::vector<OptimizerSegment>> segments_;  // of each variant
  Parameter* word_ = nullptr;                            // the word embeddings, if they train
  Arena weights_, gradients_, word_gradient_, moments_;
};

}  // namespace bertune
