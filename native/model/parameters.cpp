#include "model/parameters.h"

#include <algorithm>
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

// Keys stand behind queries and values behind keys, weights and biases alike: (3C,C) and (3C).
bool is_joined(const Place& place) {
  return is_base(place) && (place.module.role == Role::kKey || place.module.role == Role::kValue);
}

Place before_joined(const Place& place) {
  const Role role = place.module.role == Role::kValue ? Role::kKey : Role::kQuery;
  return {{role, place.module.layer}, place.part};
}

}  // namespace

ParameterTable::ParameterTable(const std::vector<ParameterRow>& rows) {
  const Place* before = nullptr;
  int variants = 1;
  for (const ParameterRow& row : rows) {
    Parameter parameter;
    parameter.name = row.name;
    parameter.place = row.place;
    parameter.shape = row.shape;
    parameter.count = product(row.shape);
    parameter.trainable = row.trainable;
    parameter.decay = row.decay;
    parameter.rate = row.rate;
    parameter.variant = row.variant;
    parameter.precise = row.place.part == Part::kMagnitude;
    parameter.joined = is_joined(row.place);
    if (parameter.joined && !(before && *before == before_joined(row.place))) {
      throw Error("INVALID_OPTION",
                  "Expected the " + describe(row.place) + " right behind the " + describe(before_joined(row.place)));
    }
    parameters_.push_back(std::move(parameter));
    const bool is_new = by_name_.emplace(std::pair(row.name, row.variant), &parameters_.back()).second &&
                        by_place_.emplace(std::pair(row.place, row.variant), &parameters_.back()).second;
    if (!is_new) throw Error("INVALID_OPTION", "Expected each parameter once but received " + row.name + " twice");
    before = &row.place;
    variants = std::max(variants, row.variant + 1);
  }
  segments_.resize(variants);
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
      } else if (p->trainable || p->precise) {
        p->master = cut.master(p->count);
      }
    }
  });

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
    segments_[p->variant].push_back({p->count, p->decay, p->rate, p->master, p->weight, p->grad, p->m, p->v});
  }
}

Parameter& ParameterTable::at(const std::string& name, int variant) {
  auto found = by_name_.find({name, variant});
  if (found == by_name_.end()) found = by_name_.find({name, 0});
  if (found == by_name_.end()) throw Error("NOT_FOUND", "Expected a parameter of the model but received " + name);
  return *found->second;
}

Parameter& ParameterTable::at(const Module& module, Part part, int variant) {
  auto found = by_place_.find({{module, part}, variant});
  if (found == by_place_.end()) found = by_place_.find({{module, part}, 0});
  if (found == by_place_.end()) {
    throw Error("NOT_FOUND", "Expected a row for the " + describe(Place{module, part}) + " in the table of parameters");
  }
  return *found->second;
}

}  // namespace bertune
