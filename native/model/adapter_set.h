// The adapters beside a model, and what the device needs for a batch that mixes them.
//
// A call of inference gives each example a handle: 0 for the model as it is, which includes an adapter of its own, or
// what `add` returned. On the device a handle becomes a slot, its place in tables with a row per adapter; slot 0 is the
// model.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "model/adapter.h"
#include "model/pass.h"

namespace bertune {

class AdapterSet {
 public:
  // `own`: the low-rank updates of the model itself.
  AdapterSet(Backend& backend, ParameterTable& base, const ModelConfig& model, const std::optional<LoraConfig>& own);

  // Returns its handle, which is never reused. Throws as Adapter does, and then nothing has changed.
  int32_t add(const AdapterConfig& config, const AdapterTensors& tensors);
  // Throws NOT_FOUND.
  void remove(int32_t handle);

  // The slot of a handle; throws NOT_FOUND.
  int32_t slot(int32_t handle) const;
  // The adapter in a slot above 0.
  const Adapter& at(int32_t slot) const { return *rows_[slot - 1]; }
  bool empty() const { return rows_.empty(); }
  // Elements of a row of kept logits: the most classes that any adapter or the model has.
  int classes() const { return classes_; }
  // The bytes of weights, tables and the buffers of mixed batches; 0 without adapters.
  size_t bytes() const;

  // Reserves memory for batches of at most that many rows; grows only. Throws OUT_OF_MEMORY.
  void reserve(int tokens, int sequences);
  // The slot of each example of a call's order. Throws OUT_OF_MEMORY.
  void write_slots(const int32_t* slots, int64_t count);
  // What a pass needs to know; `prefix` is the slot of an adapter whose prefix the whole batch uses, or 0.
  AdapterMix mix(int32_t prefix) const;

 private:
  using Adapters = std::map<int32_t, std::unique_ptr<Adapter>>;
  // Tables over the adapters, in the order of their handles.
  struct Tables {
    Arena arena;
    std::unordered_map<const Parameter*, const LowRankFactors*> updates;  // of each updated module (slots)
    const LinearFactors* head_dense = nullptr;                            // (slots); null: the model's for all
    const LinearFactors* classifiers = nullptr;                           // (slots)
  };

  Tables make_tables(const std::vector<const Adapter*>& rows) const;
  // Makes these rows the current ones. If it throws, nothing has changed.
  void replace(Tables&& tables, std::vector<const Adapter*>&& rows);

  Backend& backend_;
  ParameterTable& base_;
  const ModelConfig& model_;
  std::unordered_map<const Parameter*, LowRankFactors> own_;
  int32_t next_handle_ = 1;
  Adapters adapters_;
  std::vector<const Adapter*> rows_;  // slot s is rows_[s − 1]
  Tables tables_;
  int rank_ = 0, classes_ = 0;  // the highest of any adapter
  bool has_magnitudes_ = false;

  // Buffers of mixed batches.
  Arena arena_, slot_memory_;
  int tokens_ = 0, sequences_ = 0;
  int32_t* slots_ = nullptr;
  Real* h_ = nullptr;
  Real* logits_ = nullptr;
};

}  // namespace bertune
