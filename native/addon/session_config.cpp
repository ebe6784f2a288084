// createSession's argument → SessionConfig.
#include "addon/session_config.h"

#include <algorithm>
#include <set>

#include "addon/convert.h"

namespace bertune {
namespace {

Activation convert_activation(const Napi::Object& value, const char* name) {
  const std::string word = get_string(value, name);
  if (word == "gelu") return Activation::kGelu;
  if (word == "gelu_tanh") return Activation::kGeluTanh;
  if (word == "tanh") return Activation::kTanh;
  if (word == "relu") return Activation::kRelu;
  if (word == "silu") return Activation::kSilu;
  refuse_field("gelu, gelu_tanh, tanh, relu or silu", name);
}

ModelSettings convert_model(const Napi::Object& value) {
  return {.heads = get_int(value, "heads", 1),
          .padding_id = get_int(value, "padTokenId", -1),
          .position_offset = get_int(value, "positionOffset", 0),
          .eps = get_number(value, "layerNormEps"),
          .activation = convert_activation(value, "activation"),
          .head_activation = convert_activation(value, "headActivation"),
          .embedding_dropout = get_probability(value, "embeddingDropout"),
          .attention_dropout = get_probability(value, "attentionDropout"),
          .attention_output_dropout = get_probability(value, "attentionOutputDropout"),
          .output_dropout = get_probability(value, "outputDropout"),
          .head_input_dropout = get_probability(value, "headInputDropout"),
          .head_dropout = get_probability(value, "headDropout"),
          .probe_dropout = get_probability(value, "probeDropout")};
}

std::vector<ParameterRow> convert_parameters(const Napi::Value& value) {
  std::vector<ParameterRow> rows;
  for (const Napi::Object& item : get_objects(value, "parameters")) {
    rows.push_back({.name = get_string(item, "name"),
                    .place = convert_place(item),
                    .shape = get_integers(item, "shape"),
                    .trainable = get_bool(item, "trainable"),
                    .decay = get_bool(item, "decay"),
                    .rate = is_present(item.Get("rate")) ? get_number(item, "rate") : 1,
                    .variant = is_present(item.Get("variant"))
                                   ? static_cast<int>(get_integer(item, "variant", 0, kMostVariants - 1))
                                   : 0});
  }
  return rows;
}

LoraConfig convert_lora(const Napi::Object& value) {
  LoraConfig lora{.updates = {}, .dropout = get_probability(value, "dropout")};
  for (const Napi::Object& item : get_objects(value.Get("modules"), "modules")) {
    lora.updates.push_back({convert_module(item), get_number(item, "scaling")});
  }
  return lora;
}

// One for each variant, or one alone.
LoraConfigs convert_loras(const Napi::Value& value) {
  LoraConfigs loras;
  if (!value.IsArray()) {
    loras.emplace_back();
    if (is_present(value)) loras[0] = convert_lora(get_object(value, "lora"));
  } else {
    for (const Napi::Object& each : get_objects(value, "lora")) loras.emplace_back(convert_lora(each));
  }
  return loras;
}

// The rows of a variant: its own, and of all others' what it does not have itself.
std::vector<ParameterRow> rows_of_variant(const std::vector<ParameterRow>& rows, int variant) {
  std::set<Place> own;
  for (const ParameterRow& row : rows) {
    if (row.variant == variant) own.insert(row.place);
  }
  std::vector<ParameterRow> all;
  for (const ParameterRow& row : rows) {
    const bool is_shared = row.variant == 0 && is_base(row.place) && own.count(row.place) == 0;
    if (row.variant == variant || is_shared) all.push_back(row);
  }
  return all;
}

Loss convert_loss(const Napi::Object& value) {
  if (!is_present(value.Get("loss"))) return Loss::kCrossEntropy;
  const std::string loss = get_string(value, "loss");
  if (loss == "cross_entropy") return Loss::kCrossEntropy;
  if (loss == "binary_cross_entropy") return Loss::kBinaryCrossEntropy;
  if (loss == "mean_squared_error") return Loss::kMeanSquaredError;
  refuse_field("'cross_entropy', 'binary_cross_entropy' or 'mean_squared_error'", "loss");
}

}  // namespace

Module convert_module(const Napi::Object& value) {
  return {role_of(get_string(value, "role")), get_int(value, "layer", kNoLayer)};
}

Place convert_place(const Napi::Object& value) { return {convert_module(value), part_of(get_string(value, "part"))}; }

SessionConfig convert_session_config(const Napi::Value& argument) {
  const Napi::Object value = get_object(argument, "config");
  SessionConfig config{};
  config.device = get_string(value, "device");
  config.precision = get_string(value, "precision");
  config.threads = static_cast<int>(get_integer(value, "threads", 1, 1024));
  config.parameters = convert_parameters(value.Get("parameters"));
  ModelSettings model = convert_model(get_object(value.Get("model"), "model"));
  model.loss = convert_loss(value);
  config.loras = convert_loras(value.Get("lora"));
  const int variants = static_cast<int>(config.loras.size());
  if (variants < 1 || variants > kMostVariants) refuse_field("low-rank updates of 1 to 8 variants", "lora");
  int most = 0;
  for (const ParameterRow& row : config.parameters) most = std::max(most, row.variant);
  if (most + 1 != variants) refuse_field("parameters of each variant", "parameters");
  config.model = model_config(model, rows_of_variant(config.parameters, 0));
  for (int v = 1; v < variants; ++v) {
    const ModelConfig own = model_config(model, rows_of_variant(config.parameters, v));
    if (own.NC != config.model.NC) refuse_field("as many labels in each variant", "parameters");
  }
  return config;
}

}  // namespace bertune
