#include "model/config.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <string>

#include "core/error.h"

namespace bertune {
namespace {

constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
// Keeps the table of parameters small; far above any model that trains.
constexpr int kMostLayers = 4096;

using Shape = std::vector<int64_t>;
using Shapes = std::map<Place, Shape>;

// Operations count the elements of a row, and of the rows of one sequence, in ints.
void check_elements(int64_t rows, int64_t columns, const std::string& what) {
  if (columns > kMost / rows) {
    throw Error("INVALID_OPTION", "Expected at most " + std::to_string(kMost) + " elements for " + what +
                                      " but received " + std::to_string(rows) + " rows of " + std::to_string(columns));
  }
}

[[noreturn]] void refuse(const std::string& expected, const Place& place) {
  throw Error("INVALID_OPTION", "Expected " + expected + " for the " + describe(place));
}

Shapes shapes_of(const std::vector<ParameterRow>& rows) {
  Shapes shapes;
  for (const ParameterRow& row : rows) {
    const int layer = row.place.module.layer;
    if (is_in_layer(row.place.module.role) ? layer < 0 || layer >= kMostLayers : layer != kNoLayer) {
      refuse("a layer from 0 to " + std::to_string(kMostLayers - 1) + ", or −1 outside of layers,", row.place);
    }
    for (const int64_t size : row.shape) {
      if (size < 1 || size > kMost) refuse("sizes from 1 to 2^31 − 1", row.place);
    }
    shapes[row.place] = row.shape;
  }
  return shapes;
}

// A dimension that a row shows.
int size_at(const Shapes& shapes, const Place& place, size_t dimension) {
  const auto found = shapes.find(place);
  if (found == shapes.end() || found->second.size() <= dimension) {
    refuse("a row with " + std::to_string(dimension + 1) + " dimensions", place);
  }
  return static_cast<int>(found->second[dimension]);
}

// (out, in) of a Linear; (size, 0) of a LayerNorm and (rows, columns) of a table.
Shape shape_of(Role role, const ModelConfig& m, const Shapes& shapes) {
  switch (role) {
    case Role::kWord:
      return {m.V, m.E};
    case Role::kPosition:
      return {m.positions, m.E};
    case Role::kTokenType:
      return {m.types, m.E};
    case Role::kEmbeddingNorm:
      return {m.E};
    case Role::kEmbeddingProjection:
      return {m.C, m.E};
    case Role::kIntermediate:
      return {m.F, m.C};
    case Role::kOutput:
      return {m.C, m.F};
    case Role::kAttentionNorm:
    case Role::kOutputNorm:
    case Role::kProbeNorm:
      return {m.C};
    case Role::kProbeDense:
      return {size_at(shapes, {{Role::kProbeDense}, Part::kWeight}, 0), m.C};
    case Role::kProbeOutputNorm:
      return {size_at(shapes, {{Role::kProbeDense}, Part::kWeight}, 0)};
    case Role::kClassifier:
      return {m.NC, shapes.count({{Role::kProbeDense}, Part::kWeight})
                        ? size_at(shapes, {{Role::kProbeDense}, Part::kWeight}, 0)
                        : m.C};
    case Role::kPrompt:
      return {m.P, shapes.count({{Role::kPromptDense}, Part::kWeight}) ? m.C : 2LL * m.L * m.C};
    case Role::kPromptOutput:
      return {2LL * m.L * m.C, m.C};
    default:  // the square ones
      return {m.C, m.C};
  }
}

void check_shapes(const Shapes& shapes, const ModelConfig& m) {
  for (const auto& [place, shape] : shapes) {
    const Module& module = place.module;
    const Shape weight = shape_of(module.role, m, shapes);
    if (place.part != Part::kWeight && place.part != Part::kBias) {
      if (!is_linear(module.role)) refuse("no low-rank update", place);
      const int64_t rank = size_at(shapes, {module, Part::kLoraA}, 0);
      const Shape expected = place.part == Part::kLoraA   ? Shape{rank, weight[1]}
                             : place.part == Part::kLoraB ? Shape{weight[0], rank}
                                                          : Shape{weight[0]};
      if (shape != expected) refuse("the shape of the module's low-rank update", place);
    } else if (shape != (place.part == Part::kBias ? Shape{weight[0]} : weight)) {
      refuse("the shape that the rest of the model asks", place);
    }
  }
}

}  // namespace

const LoraConfig::Update* LoraConfig::find(const Module& module) const {
  const auto found =
      std::find_if(updates.begin(), updates.end(), [&](const Update& update) { return update.module == module; });
  return found == updates.end() ? nullptr : &*found;
}

ModelConfig model_config(const ModelSettings& settings, const std::vector<ParameterRow>& rows) {
  const Shapes shapes = shapes_of(rows);
  const auto size = [&](Module module, size_t dimension) {
    return size_at(shapes, {module, Part::kWeight}, dimension);
  };
  const auto has = [&](Module module) { return shapes.count({module, Part::kWeight}) != 0; };
  ModelConfig m{};
  static_cast<ModelSettings&>(m) = settings;
  m.V = size({Role::kWord}, 0);
  m.E = size({Role::kWord}, 1);
  m.positions = size({Role::kPosition}, 0);
  m.types = has({Role::kTokenType}) ? size({Role::kTokenType}, 0) : 0;
  m.C = size({Role::kAttentionNorm, 0}, 0);
  m.F = size({Role::kIntermediate, 0}, 0);
  m.NC = size({Role::kClassifier}, 0);
  m.P = has({Role::kPrompt}) ? size({Role::kPrompt}, 0) : 0;
  m.L = 0;
  for (const auto& [place, shape] : shapes) m.L = std::max(m.L, place.module.layer + 1);
  check_shapes(shapes, m);

  if (m.heads < 1 || m.C % m.heads != 0) {
    throw Error("INVALID_OPTION",
                "Expected a divisor of " + std::to_string(m.C) + " heads but received " + std::to_string(m.heads));
  }
  if (m.E != m.C && !has({Role::kEmbeddingProjection})) {
    throw Error("INVALID_OPTION", "Expected a projection of embeddings of another size than the hidden states");
  }
  if (m.position_offset < 0 || m.longest(m.P) < 1) {
    throw Error("INVALID_OPTION", "Expected fewer virtual tokens than positions");
  }
  check_elements(m.positions, 3LL * m.C, "positions times three hidden sizes");
  check_elements(m.positions, m.F, "positions times the feed-forward size");
  check_elements(m.positions, m.E, "positions times the embedding size");
  if (m.P > 0) check_elements(m.P, 2LL * m.L * m.C, "virtual tokens times two layers times the hidden size");
  return m;
}

}  // namespace bertune
