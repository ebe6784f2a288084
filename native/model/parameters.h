// The one table that owns each parameter: name, shape, whether it trains, whether it decays, and its memory.
// Names are Hugging Face's (PEFT's without its prefixes). Nothing addresses a parameter by an index.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/arena.h"
#include "core/backend.h"
#include "model/config.h"

namespace bertune {

struct Parameter {
  std::string name;
  std::vector<int64_t> shape;
  int64_t count = 0;
  bool trainable = false;
  bool decay = false;
  // Stands directly behind the parameter before it in memory, so that one GEMM can serve both (query, key, value).
  bool joined = false;

  Real* weight = nullptr;  // (shape) compute scalar
  // (shape) what the weight has beside it in full precision: the weight itself where that is all there is; else null
  // for a frozen parameter
  Master* master = nullptr;
  Acc* grad = nullptr;  // (shape) the rest: null for a frozen parameter
  Acc* m = nullptr;
  Acc* v = nullptr;
};

class ParameterTable {
 public:
  // Lists the parameters of the model under the method. Throws INVALID_OPTION for a trainable name that is none.
  ParameterTable(const ModelConfig& model, const MethodConfig& method);

  // Allocates one block for the weights, one for the gradients and one for the moments.
  void allocate(Backend& backend);

  // Throws NOT_FOUND.
  Parameter& at(const std::string& name);
  bool has(const std::string& name) const { return by_name_.count(name) != 0; }
  const std::deque<Parameter>& all() const { return parameters_; }
  // What the optimiser updates.
  const std::vector<OptimizerSegment>& segments() const { return segments_; }

  size_t weight_bytes() const { return weights_.bytes(); }
  size_t gradient_bytes() const { return gradients_.bytes(); }
  size_t optimizer_bytes() const { return moments_.bytes(); }

 private:
  void add(std::string name, std::vector<int64_t> shape, bool joined = false);
  void add_linear(const std::string& module, int64_t out, int64_t in);
  void add_layernorm(const std::string& module, int64_t size);
  void add_encoder_layer(const std::string& layer, const ModelConfig& model);
  void add_lora(const LoraConfig& lora);
  void add_prefix(const PrefixConfig& prefix, const ModelConfig& model);
  void add_head(Head head, const ModelConfig& model);

  std::deque<Parameter> parameters_;  // a deque: pointers to its elements stay valid
  std::unordered_map<std::string, Parameter*> by_name_;
  std::vector<OptimizerSegment> segments_;
  Arena weights_, gradients_, moments_;
};

}  // namespace bertune
