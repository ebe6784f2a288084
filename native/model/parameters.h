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
  Acc* grad = nullptr;  // (shape) the rest: null for a frozen parameter
  Acc* m = nullptr;
  Acc* v = nullptr;
};

// Whether it is the model's own, of no adapter.
inline bool is_base(const Place& place) { return place.part == Part::kWeight || place.part == Part::kBias; }

class ParameterTable {
 public:
  // Throws INVALID_OPTION for rows of one variant with the same name or place, and for keys and values that do not follow their queries.
  explicit ParameterTable(const std::vector<ParameterRow>& rows);

  // Allocates one block for the weights, one for the gradients and one for the moments.
  void allocate(Backend& backend);

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
  size_t gradient_bytes() const { return gradients_.bytes(); }
  size_t optimizer_bytes() const { return moments_.bytes(); }

 private:
  std::deque<Parameter> parameters_;  // a deque: pointers to its elements stay valid
  std::map<std::pair<std::string, int>, Parameter*> by_name_;
  std::map<std::pair<Place, int>, Parameter*> by_place_;
  std::vector<std::vector<OptimizerSegment>> segments_;  // of each variant
  Arena weights_, gradients_, moments_;
};

}  // namespace bertune
