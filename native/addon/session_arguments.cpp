#include "addon/session_arguments.h"

#include "addon/convert.h"

namespace bertune {

Dtype convert_dtype(const Napi::Value& value) {
  const std::string name = value.IsString() ? value.As<Napi::String>().Utf8Value() : "";
  if (name == "F64") return Dtype::kF64;
  if (name == "F32") return Dtype::kF32;
  if (name == "F16") return Dtype::kF16;
  if (name == "BF16") return Dtype::kBF16;
  refuse_field("F64, F32, F16 or BF16", "dtype");
}

std::string convert_name(const Napi::Value& value) {
  if (!value.IsString()) refuse_field("a string", "name");
  return value.As<Napi::String>().Utf8Value();
}

std::string convert_part(const Napi::Value& value, bool readable) {
  const std::string part = value.IsString() ? value.As<Napi::String>().Utf8Value() : "";
  if (part == "value" || part == "m" || part == "v" || (readable && part == "gradient")) return part;
  refuse_field(readable ? "'value', 'gradient', 'm' or 'v'" : "'value', 'm' or 'v'", "part");
}

namespace {

// NC weights, or none where they are absent.
std::vector<double> convert_weights(const Napi::Object& plan, const char* name, int NC) {
  if (!is_present(plan.Get(name))) return {};
  std::vector<double> weights = copy_doubles(plan.Get(name), name);
  if (weights.size() != static_cast<size_t>(NC)) refuse_field("one weight a label", name);
  return weights;
}

// A setting that the loss does not have would be ignored.
void check_loss_settings(const LossSettings& settings, Loss loss) {
  if (loss != Loss::kCrossEntropy && settings.label_smoothing != 0) refuse_field("0 under this loss", "labelSmoothing");
  const bool focuses = loss != Loss::kMeanSquaredError && settings.label_smoothing == 0;
  if (settings.focal_gamma != 0 && !focuses) refuse_field("0 under this loss or beside labelSmoothing", "focalGamma");
  if (loss == Loss::kMeanSquaredError && !settings.class_weights.empty()) {
    refuse_field("nothing under this loss", "classWeights");
  }
  if (loss != Loss::kBinaryCrossEntropy && !settings.positive_weights.empty()) {
    refuse_field("nothing under this loss", "positiveWeights");
  }
}

std::vector<int32_t> convert_variants(const Napi::Value& value) {
  std::vector<int32_t> variants = copy_ints(value, "variants");
  for (size_t i = 0; i < variants.size(); ++i) {
    const bool rises = i == 0 || variants[i] > variants[i - 1];
    if (!rises || variants[i] < 0 || variants[i] >= kMostVariants)
      refuse_field("rising numbers of variants", "variants");
  }
  if (variants.empty()) refuse_field("one variant or more", "variants");
  return variants;
}

}  // namespace

TrainPlan convert_plan(const Napi::Value& argument, const SessionConfig& config) {
  const Napi::Object value = get_object(argument, "plan");
  TrainPlan plan{};
  plan.dataset = get_int(value, "dataset", 0);
  plan.order = copy_ints(value.Get("order"), "order");
  plan.learning_rates = copy_doubles(value.Get("learningRates"), "learningRates");
  plan.first_step = get_integer(value, "firstStep", 0);
  plan.settings.batch_size = static_cast<int>(get_integer(value, "batchSize", 1, 1 << 20));
  plan.settings.accumulation = static_cast<int>(get_integer(value, "accumulation", 1, 1 << 10));
  const Napi::Value look_ahead = value.Get("lookAhead");
  plan.settings.look_ahead = is_present(look_ahead) ? static_cast<int>(get_integer(value, "lookAhead", 1, 1 << 10)) : 1;
  plan.settings.seed = static_cast<uint64_t>(get_integer(value, "seed", 0, (1LL << 53) - 1));
  plan.settings.recompute = to_flag(value.Get("gradientCheckpointing"), "gradientCheckpointing");
  plan.settings.loss.label_smoothing = get_number(value, "labelSmoothing");
  plan.settings.loss.focal_gamma = is_present(value.Get("focalGamma")) ? get_number(value, "focalGamma") : 0;
  plan.settings.optimizer = {.beta1 = get_number(value, "beta1"),
                             .beta2 = get_number(value, "beta2"),
                             .eps = get_number(value, "eps"),
                             .weight_decay = get_number(value, "weightDecay"),
                             .max_grad_norm = get_number(value, "maxGradNorm")};
  plan.settings.loss.class_weights = convert_weights(value, "classWeights", config.model.NC);
  plan.settings.loss.positive_weights = convert_weights(value, "positiveWeights", config.model.NC);
  check_loss_settings(plan.settings.loss, config.model.loss);
  if (is_present(value.Get("variants"))) plan.settings.variants = convert_variants(value.Get("variants"));
  const size_t step_size = static_cast<size_t>(plan.settings.step_size());
  const size_t steps = (plan.order.size() + step_size - 1) / step_size;
  if (steps < 1 || plan.learning_rates.size() != steps * plan.settings.variants.size()) {
    refuse_field("one learning rate a step and variant", "learningRates");
  }
  return plan;
}

AdapterConfig convert_adapter(const Napi::Value& argument) {
  const Napi::Object value = get_object(argument, "adapter");
  AdapterConfig adapter;
  adapter.labels = get_int(value, "labels", 1);
  if (is_present(value.Get("lora"))) {
    const Napi::Object lora = get_object(value.Get("lora"), "lora");
    for (const Napi::Object& item : get_objects(lora.Get("modules"), "modules")) {
      adapter.updates.push_back({convert_module(item), get_int(item, "rank", 1), get_number(item, "scaling")});
    }
  }
  if (is_present(value.Get("prefix"))) {
    adapter.virtual_tokens = get_int(get_object(value.Get("prefix"), "prefix"), "virtualTokens", 1);
  }
  return adapter;
}

AdapterTensors convert_adapter_tensors(const Napi::Value& argument, bool owned, HeldBytes& held) {
  if (!argument.IsArray()) refuse_field("an array of tensors", "tensors");
  const Napi::Array array = argument.As<Napi::Array>();
  AdapterTensors tensors;
  for (uint32_t i = 0; i < array.Length(); ++i) {
    const Napi::Object tensor = get_object(array.Get(i), "tensors");
    const Place place = convert_place(tensor);
    const Dtype dtype = convert_dtype(tensor.Get("dtype"));
    const Napi::Value value = tensor.Get("bytes");
    JobBytes bytes = job_bytes(value, owned);
    if (!tensors.emplace(place, AdapterTensor{get_string(tensor, "name"), dtype, bytes.data, bytes.size}).second) {
      refuse_field("each tensor once", "tensors");
    }
    held.values.push_back(value);
    held.copies.push_back(std::move(bytes.copy));
  }
  return tensors;
}

DatasetArrays convert_dataset(const Napi::Value& argument, int labels) {
  const Napi::Object value = get_object(argument, "dataset");
  DatasetArrays arrays;
  arrays.ids = copy_ints(value.Get("ids"), "ids");
  arrays.offsets = copy_ints(value.Get("offsets"), "offsets");
  arrays.has_labels = is_present(value.Get("labels"));
  arrays.has_token_types = is_present(value.Get("typeIds"));
  if (arrays.has_labels) arrays.labels = copy_ints(value.Get("labels"), "labels");
  if (arrays.has_token_types) arrays.token_types = copy_ints(value.Get("typeIds"), "typeIds");
  arrays.has_positions = is_present(value.Get("positions"));
  if (arrays.has_positions) arrays.positions = copy_ints(value.Get("positions"), "positions");
  const std::vector<int32_t>& offsets = arrays.offsets;
  if (offsets.size() < 2 || offsets.back() != static_cast<int64_t>(arrays.ids.size())) {
    refuse_field("offsets that end at the number of ids", "offsets");
  }
  if (arrays.has_labels && arrays.labels.size() + 1 != offsets.size()) refuse_field("one label an example", "labels");
  if (arrays.has_token_types && arrays.token_types.size() != arrays.ids.size()) {
    refuse_field("one type a token", "typeIds");
  }
  arrays.has_targets = is_present(value.Get("targets"));
  if (arrays.has_targets) {
    arrays.targets = copy_floats(value.Get("targets"), "targets");
    if (arrays.targets.size() != (offsets.size() - 1) * static_cast<size_t>(labels)) {
      refuse_field("one target for each label of an example", "targets");
    }
  }
  if (arrays.has_positions && arrays.positions.size() != arrays.ids.size()) {
    refuse_field("one position a token", "positions");
  }
  for (size_t i = 1; i < offsets.size(); ++i) {
    if (offsets[i] < offsets[i - 1] || offsets[i - 1] < 0) refuse_field("rising offsets", "offsets");
  }
  return arrays;
}

BatchLimits convert_limits(const Napi::Value& argument) {
  const Napi::Object value = get_object(argument, "limits");
  BatchLimits limits{get_int(value, "tokens", 1), get_int(value, "sequences", 1),
                     to_flag(value.Get("gradientCheckpointing"), "gradientCheckpointing")};
  const bool has_steps = is_present(value.Get("stepTokens"));
  limits.step_tokens = has_steps ? get_int(value, "stepTokens", 1) : limits.tokens;
  return limits;
}

std::vector<int32_t> convert_starts(const Napi::Value& argument, size_t count) {
  std::vector<int32_t> starts = copy_ints(argument, "starts");
  bool rises = !starts.empty() && starts.front() == 0 && starts.back() == static_cast<int64_t>(count);
  for (size_t i = 1; rises && i < starts.size(); ++i) rises = starts[i] > starts[i - 1];
  if (!rises) refuse_field("integers that rise from 0 to the number of examples", "starts");
  return starts;
}

}  // namespace bertune
