// Tokenized examples on the device: one flat id array and offsets. A step takes only indices of examples.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/arena.h"
#include "model/config.h"

namespace bertune {

// The host arrays that make a data set; null if absent.
struct DatasetView {
  int64_t examples;
  const int32_t* ids;          // (Σ lengths)
  const int32_t* offsets;      // (N + 1)
  const int32_t* labels;       // (N) or null
  const int32_t* token_types;  // (Σ lengths) or null: all 0
  const int32_t* positions;    // (Σ lengths) or null: the place within the example
  const float* targets;        // (N,NC) or null
};

class Dataset {
 public:
  // A data set without examples. `longest_filler`: it has a filler of each length up to this one, behind its examples.
  Dataset(Backend& backend, const ModelConfig& model, int longest_filler = 0)
      : backend_(backend), model_(model), longest_filler_(longest_filler) {}

  // Checks every id, label, target, type, position and length against the model (INVALID_DATA), then uploads them,
  // replacing earlier ones; keeps the memory if they fit.
  void assign(const DatasetView& view);

  int64_t size() const { return static_cast<int64_t>(offsets_.size()) - 1 - longest_filler_; }
  // The number of an example that only fills a batch up.
  int32_t filler(int length) const { return static_cast<int32_t>(size()) + length - 1; }
  int length(int example) const { return offsets_[example + 1] - offsets_[example]; }
  // For a data set that check_loss accepts for cross-entropy.
  int label(int example) const { return host_labels_[example]; }
  size_t bytes() const { return arena_.bytes(); }

  // Throws INVALID_DATA if the loss needs labels or targets that the data set lacks.
  void check_loss(Loss loss) const;
  // Throws INVALID_DATA for an index of no example.
  void check_order(const int32_t* order, int64_t count) const;

  // What gather_batch reads in a step that takes examples in this order (device memory).
  Examples in_order(const int32_t* order) const {
    return {.ids = ids_,
            .token_types = token_types_,
            .positions = positions_,
            .offsets = device_offsets_,
            .labels = labels_,
            .targets = targets_,
            .order = order};
  }

 private:
  Backend& backend_;
  const ModelConfig& model_;
  const int longest_filler_;
  std::vector<int32_t> offsets_;
  std::vector<int32_t> host_labels_;  // (N) or empty
  Arena arena_;
  int32_t* ids_ = nullptr;
  int32_t* token_types_ = nullptr;
  int32_t* positions_ = nullptr;
  int32_t* device_offsets_ = nullptr;
  int32_t* labels_ = nullptr;
  Acc* targets_ = nullptr;
};

}  // namespace bertune
