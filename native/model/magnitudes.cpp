#include "model/magnitudes.h"

#include <algorithm>
#include <vector>

#include "core/error.h"

namespace bertune {

void Magnitude::make(Backend& backend) const {
  backend.dora_scale({.n = static_cast<int>(weight->shape[0]),
                      .k = static_cast<int>(weight->shape[1]),
                      .r = static_cast<int>(a->shape[0]),
                      .scaling = scaling,
                      .weight = weight->weight,
                      .a = a->weight,
                      .b = b->weight,
                      .magnitude = m->weight,
                      .magnitude_master = m->master,
                      .norm = norm,
                      .scale = scale,
                      .scaled_b = scaled_b});
}

Magnitudes::Magnitudes(ParameterTable& parameters, std::optional<LoraConfig>& lora) {
  if (!lora) return;
  for (LoraConfig::Update& update : lora->updates) {
    const Module& module = update.module;
    if (!parameters.has(module, Part::kMagnitude)) continue;
    const Parameter& b = parameters.at(module, Part::kLoraB);
    Parameter& m = parameters.at(module, Part::kMagnitude);
    const Parameter& weight = parameters.at(module, Part::kWeight);
    if (weight.trainable || b.trainable != m.trainable) {
      throw Error("INVALID_OPTION", "Expected the magnitude of the " + describe(module) +
                                        " to train with lora_B, on a weight that does not");
    }
    all_.push_back({.weight = &weight,
                    .a = &parameters.at(module, Part::kLoraA),
                    .b = &b,
                    .m = &m,
                    .scaling = update.scaling,
                    .norm = nullptr,
                    .scale = nullptr,
                    .scaled_b = nullptr});
    update.magnitude = &all_.back();
  }
}

void Magnitudes::allocate(Backend& backend) {
  if (all_.empty()) return;
  arena_.lay_out(backend, "magnitudes", [&](Cutter& cutter) {
    for (Magnitude& each : all_) {
      each.norm = cutter.acc(each.m->count);
      each.scale = cutter.acc(each.m->count);
      each.scaled_b = cutter.real(each.b->count);
    }
  });
}

void Magnitudes::make(Backend& backend) const {
  for (const Magnitude& each : all_) each.make(backend);
}

void Magnitudes::refresh(Backend& backend) {
  if (fresh_) return;
  make(backend);
  fresh_ = true;
}

void Magnitudes::finish_gradients(Backend& backend) const {
  for (const Magnitude& each : all_) {
    if (!each.m->grad) continue;
    backend.dora_scale_backward({.n = static_cast<int>(each.b->shape[0]),
                                 .r = static_cast<int>(each.b->shape[1]),
                                 .b = each.b->weight,
                                 .norm = each.norm,
                                 .scale = each.scale,
                                 .dmagnitude = each.m->grad,
                                 .db = each.b->grad});
  }
}

void Magnitudes::initialize(Backend& backend, const Parameter& parameter) const {
  const auto found =
      std::find_if(all_.begin(), all_.end(), [&](const Magnitude& each) { return each.m == &parameter; });
  if (found == all_.end()) {
    throw Error("INVALID_OPTION", "Expected the magnitude of a low-rank update but received " + parameter.name);
  }
  found->make(backend);
  backend.synchronize();
  std::vector<double> norms(static_cast<size_t>(parameter.count));
  backend.read_acc(norms.data(), Dtype::kF64, found->norm, parameter.count);
  backend.write_weight(parameter.weight, parameter.master, norms.data(), Dtype::kF64, parameter.count);
}

}  // namespace bertune
