#include "model/adapter.h"

#include <algorithm>
#include <limits>
#include <string>

#include "core/elements.h"
#include "core/error.h"

namespace bertune {
namespace {

// A tensor of the adapter: what it is, and where its pointer goes.
struct Piece {
  Place from;
  int64_t count;
  const Real** place;
  const Master** master = nullptr;  // null: none is kept
};

void check(const AdapterConfig& config, const ModelConfig& model) {
  if (!config.updates.empty() && config.virtual_tokens > 0) {
    throw Error("INVALID_OPTION", "Expected an adapter of low-rank updates or of a prefix but received both");
  }
  if (model.longest(config.virtual_tokens) < 1) {
    throw Error("INVALID_OPTION", "Expected fewer virtual tokens than positions");
  }
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  if (config.virtual_tokens > 0 && 2LL * model.L * model.C > kMost / config.virtual_tokens) {
    throw Error("INVALID_OPTION", "Expected fewer virtual tokens than would take 2^31 elements");
  }
}

const AdapterTensor& find(const AdapterTensors& tensors, const Piece& piece) {
  const auto found = tensors.find(piece.from);
  if (found == tensors.end()) throw Error("NOT_FOUND", "Expected the " + describe(piece.from) + " of the adapter");
  const AdapterTensor& tensor = found->second;
  const size_t size = element_bytes(tensor.dtype);
  if (tensor.bytes % size != 0 || static_cast<int64_t>(tensor.bytes / size) != piece.count) {
    throw Error("SHAPE_MISMATCH", "Expected " + std::to_string(piece.count) + " elements for the " +
                                      describe(piece.from) + " but received " + std::to_string(tensor.bytes) +
                                      " bytes of " + std::to_string(size) + " an element");
  }
  return tensor;
}

void check_finite(const AdapterTensors& tensors, const Piece& piece) {
  const AdapterTensor& tensor = find(tensors, piece);
  const int64_t odd = first_not_finite(tensor.data, tensor.dtype, piece.count);
  if (odd < 0) return;
  throw Error("CHECKPOINT_INVALID", "Expected the adapter's weights to be finite but element " + std::to_string(odd) +
                                        " of " + tensor.name + " is NaN or infinite");
}

}  // namespace

Adapter::Adapter(Backend& backend, ParameterTable& base, const ModelConfig& model, const AdapterConfig& config,
                 const AdapterTensors& tensors)
    : rank_(0), prefix_tokens_(config.virtual_tokens) {
  check(config, model);
  std::vector<Piece> pieces;
  std::vector<DoraScale> magnitudes;
  std::vector<LowRankFactors*> scaled;        // the updates that have them
  magnitudes.reserve(config.updates.size());  // pieces point into it
  for (const auto& [module, rank, scaling] : config.updates) {
    const bool is_adaptable = is_linear(module.role) && (is_in_layer(module.role) || module.role == Role::kHeadDense ||
                                                         module.role == Role::kEmbeddingProjection);
    if (!is_adaptable) throw Error("INVALID_OPTION", "Expected a linear module but received the " + describe(module));
    const Parameter& weight = base.at(module, Part::kWeight);
    if (updates_.count(&weight)) {
      throw Error("INVALID_OPTION", "Expected each module once but received the " + describe(module));
    }
    LowRankFactors& update = updates_[&weight];
    update = {nullptr, nullptr, nullptr, scaling, rank, 0};
    rank_ = std::max(rank_, rank);
    pieces.push_back({{module, Part::kLoraA}, rank * weight.shape[1], &update.a});
    pieces.push_back({{module, Part::kLoraB}, rank * weight.shape[0], &update.b});
    if (!tensors.count({module, Part::kMagnitude})) continue;
    DoraScale& scale = magnitudes.emplace_back();
    scale.n = static_cast<int>(weight.shape[0]);
    scale.k = static_cast<int>(weight.shape[1]);
    scale.r = rank;
    scale.scaling = scaling;
    scale.weight = weight.weight;
    pieces.push_back({{module, Part::kMagnitude}, weight.shape[0], &scale.magnitude, &scale.magnitude_master});
    scaled.push_back(&update);
  }
  if (prefix_tokens_ > 0) {
    pieces.push_back({{{Role::kPrompt}, Part::kWeight}, 2LL * prefix_tokens_ * model.L * model.C, &prompt_});
  }
  const auto add_linear = [&](const Module& module, int n, LinearFactors& factors) {
    factors.n = n;
    pieces.push_back({{module, Part::kWeight}, static_cast<int64_t>(n) * model.C, &factors.weight});
    pieces.push_back({{module, Part::kBias}, n, &factors.bias});
  };
  add_linear({Role::kClassifier}, config.labels, classifier_);
  const Module dense{Role::kHeadDense};
  if (tensors.count({dense, Part::kWeight})) add_linear(dense, model.C, head_dense_);

  // Everything is checked before memory is taken.
  for (const Piece& piece : pieces) check_finite(tensors, piece);
  if (tensors.size() != pieces.size()) throw Error("INVALID_OPTION", "Expected only the tensors of the adapter");
  std::vector<Real*> memory(pieces.size());
  std::vector<Master*> masters(pieces.size());
  const bool one_buffer = backend.weights_are_master();
  arena_.lay_out(backend, "an adapter", [&](Cutter& cut) {
    for (size_t i = 0; i < pieces.size(); ++i) {
      memory[i] = cut.real(pieces[i].count);
      masters[i] = one_buffer         ? reinterpret_cast<Master*>(memory[i])
                   : pieces[i].master ? cut.master(pieces[i].count)
                                      : nullptr;
    }
    for (DoraScale& scale : magnitudes) {
      scale.norm = cut.acc(scale.n);
      scale.scale = cut.acc(scale.n);
      scale.scaled_b = cut.real(static_cast<int64_t>(scale.n) * scale.r);
    }
  });
  for (size_t i = 0; i < pieces.size(); ++i) {
    const AdapterTensor& tensor = find(tensors, pieces[i]);
    backend.write_weight(memory[i], masters[i], tensor.data, tensor.dtype, pieces[i].count);
    *pieces[i].place = memory[i];
    if (pieces[i].master) *pieces[i].master = masters[i];
  }
  for (size_t i = 0; i < magnitudes.size(); ++i) {
    DoraScale& scale = magnitudes[i];
    scale.a = scaled[i]->a;
    scale.b = scaled[i]->b;
    backend.dora_scale(scale);
    scaled[i]->b = scale.scaled_b;
    scaled[i]->scale = scale.scale;
  }
  has_magnitudes_ = !magnitudes.empty();
}

}  // namespace bertune
