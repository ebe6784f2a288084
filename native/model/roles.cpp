#include "model/roles.h"

#include "core/error.h"

namespace bertune {
namespace {

constexpr const char* kPartWords[] = {"weight", "bias", "lora_A", "lora_B", "lora_magnitude_vector"};

const char* word_of(Role role) {
  switch (role) {
#define BERTUNE_ROLE(role, word) \
  case Role::role:               \
    return word;
    BERTUNE_ROLES(BERTUNE_ROLE)
#undef BERTUNE_ROLE
  }
  return "";
}

}  // namespace

Role role_of(const std::string& word) {
#define BERTUNE_ROLE(role, role_word) \
  if (word == role_word) return Role::role;
  BERTUNE_ROLES(BERTUNE_ROLE)
#undef BERTUNE_ROLE
  throw Error("INVALID_OPTION", "Expected the role of a parameter but received " + word);
}

Part part_of(const std::string& word) {
  for (const Part part : {Part::kWeight, Part::kBias, Part::kLoraA, Part::kLoraB, Part::kMagnitude}) {
    if (word == kPartWords[static_cast<int>(part)]) return part;
  }
  throw Error(
      "INVALID_OPTION",
      "Expected weight, bias, lora_A, lora_B or lora_magnitude_vector as the part of a parameter but received " + word);
}

std::string describe(const Module& module) {
  const std::string word = word_of(module.role);
  return module.layer == kNoLayer ? word : word + " of layer " + std::to_string(module.layer);
}

std::string describe(const Place& place) {
  return std::string(kPartWords[static_cast<int>(place.part)]) + " of " + describe(place.module);
}

bool is_in_layer(Role role) { return role >= Role::kQuery && role <= Role::kOutputNorm; }

bool is_embedding(Role role) {
  switch (role) {
    case Role::kWord:
    case Role::kPosition:
    case Role::kTokenType:
    case Role::kEmbeddingNorm:
    case Role::kEmbeddingProjection:
      return true;
    default:
      return false;
  }
}

bool is_linear(Role role) {
  switch (role) {
    case Role::kEmbeddingProjection:
    case Role::kQuery:
    case Role::kKey:
    case Role::kValue:
    case Role::kAttentionOutput:
    case Role::kIntermediate:
    case Role::kOutput:
    case Role::kHeadDense:
    case Role::kClassifier:
    case Role::kProbeDense:
    case Role::kPromptDense:
    case Role::kPromptOutput:
      return true;
    default:
      return false;
  }
}

}  // namespace bertune
