#include "model/config.h"

#include <cstdint>
#include <limits>

#include "core/error.h"

namespace bertune {
namespace {

// Keeps the table of parameters small; far above any model that trains.
constexpr int kMostLayers = 4096;

// Operations count the elements of a row, and of the rows of one sequence, in ints.
void check_elements(int64_t rows, int64_t columns, const std::string& what) {
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  if (columns > kMost / rows) {
    throw Error("INVALID_OPTION", "Expected at most " + std::to_string(kMost) + " elements for " + what +
                                      " but received " + std::to_string(rows) + " rows of " + std::to_string(columns));
  }
}

}  // namespace

const ModelConfig& checked(const ModelConfig& model, const MethodConfig& method) {
  if (model.L > kMostLayers) {
    throw Error("INVALID_OPTION", "Expected at most " + std::to_string(kMostLayers) + " for layers but received " +
                                      std::to_string(model.L));
  }
  check_elements(model.positions, 3LL * model.C, "maxPositions times three hiddenSize");
  check_elements(model.positions, model.F, "maxPositions times feedForwardSize");
  if (method.head == Head::kProbe && model.C < 2) {
    throw Error("INVALID_OPTION",
                "Expected at least 2 for hiddenSize under the probe head but received " + std::to_string(model.C));
  }
  if (method.prefix) {
    check_elements(method.prefix->virtual_tokens, 2LL * model.L * model.C,
                   "virtualTokens times two layers times hiddenSize");
  }
  return model;
}

}  // namespace bertune
