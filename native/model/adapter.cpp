#include "model/adapter.h"

#include <limits>

#include "core/elements.h"
#include "core/error.h"

namespace bertune {
namespace {

// A parameter of the adapter: where its pointer goes, and what it is filled from.
struct Part {
  std::string name;
  int64_t count;
  const Real** place;
};

void check(const AdapterConfig& config, const ModelConfig& model) {
  if (!config.modules.empty() && config.virtual_tokens > 0) {
    throw Error("INVALID_OPTION", "Expected an adapter of low-rank updates or of a prefix but received both");
  }
  if (config.virtual_tokens >= model.positions) {
    throw Error("INVALID_OPTION", "Expected fewer virtual tokens than positions");
  }
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  if (config.virtual_tokens > 0 && 2LL * model.L * model.C > kMost / config.virtual_tokens) {
    throw Error("INVALID_OPTION", "Expected fewer virtual tokens than would take 2^31 elements");
  }
}

const AdapterTensor& find(const AdapterTensors& tensors, const Part& part) {
  const auto found = tensors.find(part.name);
  if (found == tensors.end()) throw Error("NOT_FOUND", "Expected a tensor " + part.name + " of the adapter");
  const AdapterTensor& tensor = found->second;
  const size_t size = element_bytes(tensor.dtype);
  if (tensor.bytes % size != 0 || static_cast<int64_t>(tensor.bytes / size) != part.count) {
    throw Error("SHAPE_MISMATCH", "Expected " + std::to_string(part.count) + " elements for " + part.name +
                                      " but received " + std::to_string(tensor.bytes) + " bytes of " +
                                      std::to_string(size) + " an element");
  }
  return tensor;
}

void check_finite(const AdapterTensors& tensors, const Part& part) {
  const AdapterTensor& tensor = find(tensors, part);
  const int64_t odd = first_not_finite(tensor.data, tensor.dtype, part.count);
  if (odd < 0) return;
  throw Error("CHECKPOINT_INVALID", "Expected the adapter's weights to be finite but element " + std::to_string(odd) +
                                        " of " + part.name + " is NaN or infinite");
}

}  // namespace

Adapter::Adapter(Backend& backend, ParameterTable& base, const ModelConfig& model, const AdapterConfig& config,
                 const AdapterTensors& tensors)
    : rank_(config.modules.empty() ? 0 : config.rank), prefix_tokens_(config.virtual_tokens) {
  check(config, model);
  std::vector<Part> parts;
  for (const std::string& module : config.modules) {
    const Parameter& weight = base.at(module + ".weight");
    const bool is_encoder_linear =
        weight.shape.size() == 2 && base.has(module + ".bias") && module.starts_with("bert.");
    if (!is_encoder_linear) throw Error("INVALID_OPTION", "Expected a linear module but received " + module);
    if (updates_.count(&weight)) throw Error("INVALID_OPTION", "Expected each module once but received " + module);
    LowRankFactors& update = updates_[&weight];
    update = {nullptr, nullptr, config.scaling, config.rank, 0};
    parts.push_back({module + ".lora_A.weight", config.rank * weight.shape[1], &update.a});
    parts.push_back({module + ".lora_B.weight", config.rank * weight.shape[0], &update.b});
  }
  if (prefix_tokens_ > 0) {
    parts.push_back({"prompt_encoder.embedding.weight", 2LL * prefix_tokens_ * model.L * model.C, &prompt_});
  }
  classifier_.n = config.labels;
  parts.push_back({"classifier.weight", static_cast<int64_t>(config.labels) * model.C, &classifier_.weight});
  parts.push_back({"classifier.bias", config.labels, &classifier_.bias});

  // Everything is checked before memory is taken.
  for (const Part& part : parts) check_finite(tensors, part);
  if (tensors.size() != parts.size()) throw Error("INVALID_OPTION", "Expected only the tensors of the adapter");
  std::vector<Real*> memory(parts.size());
  arena_.lay_out(backend, "an adapter", [&](Cutter& cut) {
    for (size_t i = 0; i < parts.size(); ++i) memory[i] = cut.real(parts[i].count);
  });
  for (size_t i = 0; i < parts.size(); ++i) {
    const AdapterTensor& tensor = find(tensors, parts[i]);
    Master* master = backend.weights_are_master() ? reinterpret_cast<Master*>(memory[i]) : nullptr;
    backend.write_weight(memory[i], master, tensor.data, tensor.dtype, parts[i].count);
    *parts[i].place = memory[i];
  }
}

}  // namespace bertune
