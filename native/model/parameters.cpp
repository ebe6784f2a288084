#include "model/parameters.h"

#include <limits>

#include "core/error.h"

namespace bertune {
namespace {

int64_t product(const std::vector<int64_t>& shape) {
  // Sizes that no machine has stop here instead of wrapping around.
  constexpr int64_t most = std::numeric_limits<int64_t>::max() / 64;
  int64_t count = 1;
  for (int64_t size : shape) count = size != 0 && count > most / size ? most : count * size;
  return count;
}

// Cuts a buffer for each parameter; a joined one follows the one before it without an alignment gap.
template <typename Scalar, typename Take>
void cut_joined(const Backend& backend, const std::vector<Parameter*>& parameters, Scalar* Parameter::* member,
                Take take) {
  for (size_t i = 0; i < parameters.size();) {
    size_t end = i + 1;
    int64_t count = parameters[i]->count;
    while (end < parameters.size() && parameters[end]->joined) count += parameters[end++]->count;
    Scalar* start = take(count);
    for (; i < end; ++i) {
      parameters[i]->*member = start;
      if (start) start = offset(backend, start, parameters[i]->count);
    }
  }
}

}  // namespace

ParameterTable::ParameterTable(const ModelConfig& model, const MethodConfig& method) {
  add("bert.embeddings.word_embeddings.weight", {model.V, model.C});
  add("bert.embeddings.position_embeddings.weight", {model.positions, model.C});
  add("bert.embeddings.token_type_embeddings.weight", {model.types, model.C});
  add_layernorm("bert.embeddings.LayerNorm", model.C);
  for (int l = 0; l < model.L; ++l) add_encoder_layer("bert.encoder.layer." + std::to_string(l), model);
  add_linear("bert.pooler.dense", model.C, model.C);
  if (method.lora) add_lora(*method.lora);
  if (method.prefix) add_prefix(*method.prefix, model);
  add_head(method.head, model);

  for (const std::string& name : method.trainable) at(name).trainable = true;
  for (const std::string& name : method.decay) at(name).decay = true;
}

void ParameterTable::add(std::string name, std::vector<int64_t> shape, bool joined) {
  Parameter parameter;
  parameter.name = std::move(name);
  parameter.count = product(shape);
  parameter.shape = std::move(shape);
  parameter.joined = joined;
  parameters_.push_back(std::move(parameter));
  by_name_[parameters_.back().name] = &parameters_.back();
}

void ParameterTable::add_linear(const std::string& module, int64_t out, int64_t in) {
  add(module + ".weight", {out, in});
  add(module + ".bias", {out});
}

void ParameterTable::add_layernorm(const std::string& module, int64_t size) {
  add(module + ".weight", {size});
  add(module + ".bias", {size});
}

void ParameterTable::add_encoder_layer(const std::string& layer, const ModelConfig& model) {
  const std::string self = layer + ".attention.self.";
  // query, key, value stand together: (3C,C) and (3C)
  add(self + "query.weight", {model.C, model.C});
  add(self + "key.weight", {model.C, model.C}, true);
  add(self + "value.weight", {model.C, model.C}, true);
  add(self + "query.bias", {model.C});
  add(self + "key.bias", {model.C}, true);
  add(self + "value.bias", {model.C}, true);
  add_linear(layer + ".attention.output.dense", model.C, model.C);
  add_layernorm(layer + ".attention.output.LayerNorm", model.C);
  add_linear(layer + ".intermediate.dense", model.F, model.C);
  add_linear(layer + ".output.dense", model.C, model.F);
  add_layernorm(layer + ".output.LayerNorm", model.C);
}

void ParameterTable::add_lora(const LoraConfig& lora) {
  for (const std::string& module : lora.modules) {
    const auto base = by_name_.find(module + ".weight");
    const bool is_linear =
        base != by_name_.end() && base->second->shape.size() == 2 && by_name_.count(module + ".bias");
    if (!is_linear) {
      throw Error("INVALID_OPTION", "Expected a linear module as a LoRA target but received " + module);
    }
    if (by_name_.count(module + ".lora_A.weight")) {
      throw Error("INVALID_OPTION", "Expected each LoRA target once but received " + module + " twice");
    }
    const std::vector<int64_t> shape = base->second->shape;
    add(module + ".lora_A.weight", {lora.rank, shape[1]});
    add(module + ".lora_B.weight", {shape[0], lora.rank});
  }
}

void ParameterTable::add_prefix(const PrefixConfig& prefix, const ModelConfig& model) {
  const int64_t keys_and_values = 2LL * model.L * model.C;
  if (!prefix.projection) {
    add("prompt_encoder.embedding.weight", {prefix.virtual_tokens, keys_and_values});
    return;
  }
  add("prompt_encoder.embedding.weight", {prefix.virtual_tokens, model.C});
  add_linear("prompt_encoder.transform.0", model.C, model.C);
  add_linear("prompt_encoder.transform.2", keys_and_values, model.C);
}

void ParameterTable::add_head(Head head, const ModelConfig& model) {
  if (head == Head::kClassifier) {
    add_linear("classifier", model.NC, model.C);
    return;
  }
  add_layernorm("classifier.classifier.0", model.C);
  add_linear("classifier.classifier.1", model.C / 2, model.C);
  add_layernorm("classifier.classifier.4", model.C / 2);
  add_linear("classifier.classifier.5", model.NC, model.C / 2);
}

void ParameterTable::allocate(Backend& backend) {
  std::vector<Parameter*> all, trainable;
  for (Parameter& p : parameters_) {
    all.push_back(&p);
    if (p.trainable) trainable.push_back(&p);
  }

  const bool one_buffer = backend.weights_are_master();
  weights_.lay_out(backend, "parameters", [&](Cutter& cut) {
    cut_joined(backend, all, &Parameter::weight, [&](int64_t count) { return cut.real(count); });
    for (Parameter* p : all) {
      if (one_buffer) {
        p->master = reinterpret_cast<Master*>(p->weight);
      } else if (p->trainable) {
        p->master = cut.master(p->count);
      }
    }
  });

  segments_.clear();
  if (trainable.empty()) return;
  gradients_.lay_out(backend, "gradients", [&](Cutter& cut) {
    cut_joined(backend, trainable, &Parameter::grad, [&](int64_t count) { return cut.acc(count); });
  });
  moments_.lay_out(backend, "optimizer moments", [&](Cutter& cut) {
    for (Parameter* p : trainable) {
      p->m = cut.acc(p->count);
      p->v = cut.acc(p->count);
    }
  });
  for (const Parameter* p : trainable) {
    segments_.push_back({p->count, p->decay, p->master, p->weight, p->grad, p->m, p->v});
  }
}

Parameter& ParameterTable::at(const std::string& name) {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) throw Error("NOT_FOUND", "Expected a parameter of the model but received " + name);
  return *found->second;
}

}  // namespace bertune
