#include "model/dataset.h"

#include <algorithm>
#include <cmath>
#include <sstream>
#include <string>

#include "core/error.h"

namespace bertune {
namespace {

[[noreturn]] void refuse(const char* expected, int64_t limit, const char* what, int64_t found, int64_t example) {
  throw Error("INVALID_DATA", std::string("Expected ") + expected + " below " + std::to_string(limit) + " but " + what +
                                  " of example " + std::to_string(example) + " is " + std::to_string(found));
}

void check_targets(const DatasetView& view, const ModelConfig& model) {
  const bool probability = model.loss == Loss::kBinaryCrossEntropy;
  const int64_t NC = model.NC;
  for (int64_t i = 0; i < view.examples * NC; ++i) {
    const float value = view.targets[i];
    if (std::isfinite(value) && (!probability || (value >= 0.f && value <= 1.f))) continue;
    std::ostringstream found;
    found << value;
    throw Error("INVALID_DATA", std::string("Expected ") + (probability ? "targets in [0, 1]" : "finite targets") +
                                    " but target " + std::to_string(i % NC) + " of example " + std::to_string(i / NC) +
                                    " is " + found.str());
  }
}

void check(const DatasetView& view, const ModelConfig& model) {
  if (view.examples < 1 || view.offsets[0] != 0) {
    throw Error("INVALID_DATA", "Expected a data set with at least one example, its offsets starting at 0");
  }
  const int longest = model.longest(model.P);
  for (int64_t i = 0; i < view.examples; ++i) {
    const int64_t length = static_cast<int64_t>(view.offsets[i + 1]) - view.offsets[i];
    if (length < 1 || length > longest) {
      throw Error("INVALID_DATA", "Expected 1 to " + std::to_string(longest) + " tokens but example " +
                                      std::to_string(i) + " has " + std::to_string(length));
    }
    for (int32_t t = view.offsets[i]; t < view.offsets[i + 1]; ++t) {
      if (view.ids[t] < 0 || view.ids[t] >= model.V) refuse("token ids", model.V, "an id", view.ids[t], i);
      const int types = std::max(model.types, 1);  // a model without a table of them takes type 0
      if (view.token_types && (view.token_types[t] < 0 || view.token_types[t] >= types)) {
        refuse("token types", types, "a type", view.token_types[t], i);
      }
      if (!view.positions) continue;
      const int32_t place = t - view.offsets[i];
      if (view.positions[t] < -1 || view.positions[t] > place) {
        throw Error("INVALID_DATA", "Expected positions from -1, for padding, to the token's place but that of token " +
                                        std::to_string(place) + " of example " + std::to_string(i) + " is " +
                                        std::to_string(view.positions[t]));
      }
    }
    if (view.labels && (view.labels[i] < 0 || view.labels[i] >= model.NC)) {
      refuse("labels", model.NC, "the label", view.labels[i], i);
    }
  }
  if (view.targets) check_targets(view, model);
}

}  // namespace

void Dataset::assign(const DatasetView& view) {
  check(view, model_);
  offsets_.assign(view.offsets, view.offsets + view.examples + 1);
  host_labels_.assign(view.labels, view.labels ? view.labels + view.examples : nullptr);
  const int64_t tokens = offsets_.back(), targets = view.examples * model_.NC;
  for (int length = 1; length <= longest_filler_; ++length) offsets_.push_back(offsets_.back() + length);
  const int64_t examples = size() + longest_filler_, all_tokens = offsets_.back();
  BERTUNE_CHECK(longest_filler_ <= model_.longest(model_.P));
  arena_.fit(backend_, "a data set", [&](Cutter& cut) {
    ids_ = cut.ints(all_tokens);
    token_types_ = view.token_types ? cut.ints(all_tokens) : nullptr;
    positions_ = view.positions ? cut.ints(all_tokens) : nullptr;
    device_offsets_ = cut.ints(examples + 1);
    labels_ = view.labels ? cut.ints(examples) : nullptr;
    targets_ = view.targets ? cut.acc(examples * model_.NC) : nullptr;
  });
  if (longest_filler_ > 0) {
    const size_t fillers = examples - view.examples, fill = all_tokens - tokens;
    for (int32_t* array : {ids_, token_types_, positions_}) {
      if (array) backend_.zero(array + tokens, fill * sizeof(int32_t));
    }
    if (labels_) backend_.zero(labels_ + view.examples, fillers * sizeof(int32_t));
    if (targets_) backend_.zero(offset(backend_, targets_, targets), fillers * model_.NC * backend_.acc_size());
  }
  backend_.copy_in(ids_, view.ids, tokens * sizeof(int32_t));
  if (token_types_) backend_.copy_in(token_types_, view.token_types, tokens * sizeof(int32_t));
  if (positions_) backend_.copy_in(positions_, view.positions, tokens * sizeof(int32_t));
  backend_.copy_in(device_offsets_, offsets_.data(), offsets_.size() * sizeof(int32_t));
  if (labels_) backend_.copy_in(labels_, view.labels, view.examples * sizeof(int32_t));
  if (targets_) backend_.write_acc(targets_, view.targets, Dtype::kF32, targets);
}

void Dataset::check_loss(Loss loss) const {
  const bool by_label = loss == Loss::kCrossEntropy;
  if (by_label ? labels_ != nullptr : targets_ != nullptr) return;
  throw Error("INVALID_DATA", by_label ? "Expected a data set with labels to train on"
                                       : "Expected a data set with targets, one for each label, to train on");
}

void Dataset::check_order(const int32_t* order, int64_t count) const {
  for (int64_t i = 0; i < count; ++i) {
    if (order[i] < 0 || order[i] >= size()) {
      throw Error("INVALID_DATA", "Expected example indices below " + std::to_string(size()) + " but order[" +
                                      std::to_string(i) + "] is " + std::to_string(order[i]));
    }
  }
}

}  // namespace bertune
