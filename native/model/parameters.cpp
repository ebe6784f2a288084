#include "model/parameters.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "core/elements.h"
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

void read_gradient(Backend& backend, const Parameter& parameter, Dtype dtype, void* host) {
  const int rows = parameter.gradient_rows, V = static_cast<int>(parameter.shape.front());
  if (parameter.place.module.role != Role::kWord || rows == V) {
    return backend.read_acc(host, dtype, parameter.grad, parameter.count);
  }
  const size_t row_bytes = static_cast<size_t>(parameter.count) / V * dtype_size(dtype);
  std::vector<uint8_t> compact(rows * row_bytes);
  std::vector<int32_t> places(V, -1);
  if (rows > 0) {
    backend.read_acc(compact.data(), dtype, parameter.grad, parameter.count / V * rows);
    backend.read_places(places.data(), parameter.grad, V);
  }
  for (int row = 0; row < V; ++row) {
    uint8_t* to = static_cast<uint8_t*>(host) + row * row_bytes;
    if (places[row] < 0) {
      std::memset(to, 0, row_bytes);
    } else {
      std::memcpy(to, compact.data() + places[row] * row_bytes, row_bytes);
    }
  }
}

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
    if (p.trainable && p.place.module.role == Role::kWord) word_ = &p;
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
  std::vector<Parameter*> others = trainable;
  others.erase(std::remove(others.begin(), others.end(), word_), others.end());
  if (!others.empty()) {
    gradients_.lay_out(backend, "gradients", [&](Cutter& cut) {
      cut_joined(backend, others, &Parameter::grad, [&](int64_t count) { return cut.acc(count); });
    });
  }
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

int ParameterTable::word_gradient_rows(const Backend& backend, int tokens) const {
  if (!word_ || tokens == 0) return 0;
  const int V = static_cast<int>(word_->shape[0]), C = static_cast<int>(word_->shape[1]);
  return backend.makes_compact(V, C) ? std::min(V, tokens) : V;
}

void ParameterTable::reserve_word_gradient(Backend& backend, int rows) {
  if (rows == word_gradient_rows()) return;
  const auto place = [&](Acc* grad) {
    word_->grad = grad;
    for (OptimizerSegment& segment : segments_[0]) {
      if (segment.weight == word_->weight) segment.grad = grad;
    }
  };
  place(nullptr);
  word_->gradient_rows = 0;
  word_gradient_.clear();
  if (rows == 0) return;
  word_gradient_.lay_out(backend, "the gradient of the word embeddings", [&](Cutter& cut) {
    place(cut.acc(rows * word_->shape[1]));
    cut.acc(1);  // a gap: the gradients of the others may begin right behind (core/gradient_runs.h)
  });
  word_->gradient_rows = rows;
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
