#include "model/adapter_set.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "model/magnitudes.h"

namespace bertune {
namespace {

template <typename Row>
Row* cut_rows(Cutter& cutter, size_t count) {
  static_assert(sizeof(Row) % sizeof(int32_t) == 0);
  return reinterpret_cast<Row*>(cutter.ints(static_cast<int64_t>(count * sizeof(Row) / sizeof(int32_t))));
}

// Rows of h, so that each starts where a vector may.
int rounded_rank(int rank) { return (rank + 3) / 4 * 4; }

[[noreturn]] void refuse(int32_t handle) {
  throw Error("NOT_FOUND", "Expected an adapter of this session but received the handle " + std::to_string(handle));
}

}  // namespace

AdapterSet::AdapterSet(Backend& backend, ParameterTable& base, const ModelConfig& model,
                       const std::optional<LoraConfig>& own)
    : backend_(backend), base_(base), model_(model) {
  if (!own) return;
  for (const auto& [module, scaling, magnitude] : own->updates) {
    const Parameter& a = base.at(module, Part::kLoraA);
    const Real* b = magnitude ? magnitude->scaled_b : base.at(module, Part::kLoraB).weight;
    own_[&base.at(module, Part::kWeight)] = {
        a.weight, b, magnitude ? magnitude->scale : nullptr, scaling, static_cast<int32_t>(a.shape[0]), 0};
  }
}

int32_t AdapterSet::add(const AdapterConfig& config, const AdapterTensors& tensors) {
  auto adapter = std::make_unique<Adapter>(backend_, base_, model_, config, tensors);
  // The new handle is the largest, so its row comes last.
  std::vector<const Adapter*> rows = rows_;
  rows.push_back(adapter.get());
  Tables tables = make_tables(rows);
  const int32_t handle = next_handle_;
  Adapters added;
  added.emplace(handle, std::move(adapter));
  replace(std::move(tables), std::move(rows));
  adapters_.merge(added);
  ++next_handle_;
  return handle;
}

void AdapterSet::remove(int32_t handle) {
  const int32_t removed = handle == 0 ? 0 : slot(handle);
  if (removed == 0) refuse(handle);
  std::vector<const Adapter*> rows = rows_;
  rows.erase(rows.begin() + (removed - 1));
  Tables tables = rows.empty() ? Tables{} : make_tables(rows);
  replace(std::move(tables), std::move(rows));
  adapters_.erase(handle);
}

void AdapterSet::replace(Tables&& tables, std::vector<const Adapter*>&& rows) {
  backend_.forget_recordings();  // those that read the old tables and buffers; waits for what is under way
  // Nothing below fails.
  tables_ = std::move(tables);
  rows_ = std::move(rows);
  arena_.clear();
  slot_memory_.clear();
  tokens_ = sequences_ = 0;
  rank_ = 0;
  has_magnitudes_ = false;
  classes_ = model_.NC;
  for (const auto& [weight, update] : own_) {
    rank_ = std::max(rank_, static_cast<int>(update.r));
    has_magnitudes_ |= update.scale != nullptr;
  }
  for (const Adapter* adapter : rows_) {
    has_magnitudes_ |= adapter->has_magnitudes();
    rank_ = std::max(rank_, adapter->rank());
    classes_ = std::max(classes_, static_cast<int>(adapter->classifier().n));
  }
}

AdapterSet::Tables AdapterSet::make_tables(const std::vector<const Adapter*>& rows) const {
  std::unordered_map<const Parameter*, std::vector<LowRankFactors>> updates;
  const auto row_of = [&](const Parameter* weight) -> std::vector<LowRankFactors>& {
    return updates.try_emplace(weight, rows.size() + 1).first->second;
  };
  std::vector<LinearFactors> classifiers(rows.size() + 1), head_dense(rows.size() + 1);
  bool has_dense = false;
  for (const auto& [weight, update] : own_) row_of(weight)[0] = update;
  for (size_t i = 0; i < rows.size(); ++i) {
    for (const auto& [weight, update] : rows[i]->updates()) row_of(weight)[i + 1] = update;
    classifiers[i + 1] = rows[i]->classifier();
    head_dense[i + 1] = rows[i]->head_dense();
    has_dense |= head_dense[i + 1].n > 0;
  }

  Tables tables;
  tables.arena.lay_out(backend_, "the tables of adapters", [&](Cutter& cutter) {
    for (const auto& [weight, table] : updates) tables.updates[weight] = cut_rows<LowRankFactors>(cutter, table.size());
    tables.classifiers = cut_rows<LinearFactors>(cutter, classifiers.size());
    if (has_dense) tables.head_dense = cut_rows<LinearFactors>(cutter, head_dense.size());
  });
  const auto copy_in = [&](const auto* device, const auto& table) {
    backend_.copy_in(const_cast<void*>(static_cast<const void*>(device)), table.data(),
                     table.size() * sizeof(table[0]));
  };
  for (const auto& [weight, table] : updates) copy_in(tables.updates[weight], table);
  copy_in(tables.classifiers, classifiers);
  if (has_dense) copy_in(tables.head_dense, head_dense);
  return tables;
}

int32_t AdapterSet::slot(int32_t handle) const {
  if (handle == 0) return 0;
  const auto found = adapters_.find(handle);
  if (found == adapters_.end()) refuse(handle);
  return static_cast<int32_t>(std::distance(adapters_.begin(), found)) + 1;
}

size_t AdapterSet::bytes() const {
  size_t bytes = tables_.arena.bytes() + arena_.bytes() + slot_memory_.bytes();
  for (const auto& [handle, adapter] : adapters_) bytes += adapter->bytes();
  return bytes;
}

void AdapterSet::reserve(int tokens, int sequences) {
  tokens = std::max({tokens, sequences, tokens_});
  sequences = std::max(sequences, sequences_);
  if (tokens == tokens_ && sequences == sequences_) return;
  backend_.forget_recordings();
  tokens_ = sequences_ = 0;
  arena_.lay_out(backend_, "batches of several adapters", [&](Cutter& cutter) {
    h_ = cutter.real(static_cast<int64_t>(tokens) * rounded_rank(rank_));
    logits_ = cutter.real(static_cast<int64_t>(sequences) * classes_);
  });
  tokens_ = tokens;
  sequences_ = sequences;
}

void AdapterSet::write_slots(const int32_t* slots, int64_t count) {
  const int32_t* before = slots_;
  slot_memory_.fit(backend_, "the adapters of examples", [&](Cutter& cutter) { slots_ = cutter.ints(count); });
  if (slots_ != before) backend_.forget_recordings();  // those that read the old ones
  backend_.copy_in(slots_, slots, static_cast<size_t>(count) * sizeof(int32_t));
}

AdapterMix AdapterSet::mix(int32_t prefix) const {
  const Adapter* adapter = prefix == 0 ? nullptr : &at(prefix);
  return {.slots = slots_,
          .updates = &tables_.updates,
          .has_magnitudes = has_magnitudes_,
          .rank = rounded_rank(rank_),
          .h = h_,
          .head_dense = tables_.head_dense,
          .classifiers = tables_.classifiers,
          .classes = classes_,
          .logits = logits_,
          .prefix_tokens = adapter ? adapter->prefix_tokens() : 0,
          .prompt = adapter ? adapter->prompt() : nullptr};
}

}  // namespace bertune
