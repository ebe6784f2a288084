// createSession's argument → SessionConfig.
#include "addon/session_config.h"

#include "addon/convert.h"

namespace bertune {
namespace {

ModelConfig convert_model(const Napi::Object& value) {
  ModelConfig model{};
  model.V = get_int(value, "vocabSize", 1);
  model.C = get_int(value, "hiddenSize", 1);
  model.L = static_cast<int>(get_integer(value, "layers", 1, 10000));
  model.NH = get_int(value, "heads", 1);
  model.F = get_int(value, "feedForwardSize", 1);
  model.NC = get_int(value, "labels", 1);
  model.positions = get_int(value, "maxPositions", 1);
  model.types = get_int(value, "typeVocabSize", 1);
  model.padding_id = get_int(value, "padTokenId", -1);
  model.eps = get_number(value, "layerNormEps");
  model.hidden_dropout = get_probability(value, "hiddenDropout");
  model.attention_dropout = get_probability(value, "attentionDropout");
  model.classifier_dropout = get_probability(value, "classifierDropout");
  if (model.C % model.NH != 0) refuse_field("a divisor of hiddenSize", "heads");
  return model;
}

LoraConfig convert_lora(const Napi::Object& value) {
  return {get_strings(value, "modules"), get_int(value, "rank", 1), get_number(value, "scaling"),
          get_probability(value, "dropout")};
}

Loss convert_loss(const Napi::Object& value) {
  if (!is_present(value.Get("loss"))) return Loss::kCrossEntropy;
  const std::string loss = get_string(value, "loss");
  if (loss == "cross_entropy") return Loss::kCrossEntropy;
  if (loss == "binary_cross_entropy") return Loss::kBinaryCrossEntropy;
  if (loss == "mean_squared_error") return Loss::kMeanSquaredError;
  refuse_field("'cross_entropy', 'binary_cross_entropy' or 'mean_squared_error'", "loss");
}

std::unordered_set<std::string> to_set(std::vector<std::string> names) {
  return {std::make_move_iterator(names.begin()), std::make_move_iterator(names.end())};
}

}  // namespace

SessionConfig convert_session_config(const Napi::Value& argument) {
  const Napi::Object value = get_object(argument, "config");
  SessionConfig config{};
  config.device = get_string(value, "device");
  config.precision = get_string(value, "precision");
  config.threads = static_cast<int>(get_integer(value, "threads", 1, 1024));
  config.model = convert_model(get_object(value.Get("model"), "model"));
  config.model.loss = convert_loss(value);
  const std::string head = get_string(value, "head");
  if (head != "classifier" && head != "probe") refuse_field("'classifier' or 'probe'", "head");
  config.method.head = head == "probe" ? Head::kProbe : Head::kClassifier;
  config.method.probe_dropout = get_probability(value, "probeDropout");
  if (is_present(value.Get("lora"))) config.method.lora = convert_lora(get_object(value.Get("lora"), "lora"));
  if (is_present(value.Get("prefix"))) {
    const Napi::Object prefix = get_object(value.Get("prefix"), "prefix");
    config.method.prefix = PrefixConfig{get_int(prefix, "virtualTokens", 1), get_bool(prefix, "projection")};
    if (config.method.prefix->virtual_tokens >= config.model.positions) {
      refuse_field("fewer virtual tokens than positions", "virtualTokens");
    }
  }
  config.method.trainable = to_set(get_strings(value, "trainable"));
  config.method.decay = to_set(get_strings(value, "decay"));
  return config;
}

}  // namespace bertune
