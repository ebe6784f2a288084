// The table of parameters: what each is to the model, its shape, whether it trains and decays, and its memory. Its rows
// come from TypeScript; the model finds them by their roles.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <unordered_map>
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
};

struct Parameter {
  std::string name;
  Place place;
  std::vector<int64_t> shape;
  int64_t count = 0;
  bool trainable = false;
  bool decay = false;
  double rate = 1;
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

class ParameterTable {
 public:
  // Throws INVALID_OPTION for rows with the same name or place, and for keys and values that do not follow their queries.
  explicit ParameterTable(const std::vector<ParameterRow>& rows);

  // Allocates one block for the weights, one for the gradients and one for the moments.
  void allocate(Backend& backend);

  // Throw NOT_FOUND.
  Parameter& at(const std::string& name);
  Parameter& at(const Module& module, Part part);
  bool has(const Module& module, Part part = Part::kWeight) const { return by_place_.count({module, part}) != 0; }
  const std::deque<Parameter>& all() const { return parameters_; }
  // What the optimizer updates.
  const std::vector<OptimizerSegment>& segments() const { return segments_; }

  size_t weight_bytes() const { return weights_.bytes(); }
  size_t gradient_bytes() const { return gradients_.bytes(); }
  size_t optimizer_bytes() const { return moments_.bytes(); }

 private:
  std::deque<Parameter> parameters_;  // a deque: pointers to its elements stay valid
  std::unordered_map<std::string, Parameter*> by_name_;
  std::map<Place, Parameter*> by_place_;
  std::vector<OptimizerSegment> segments_;
  Arena weights_, gradients_, moments_;
};

}  // namespace bertune
