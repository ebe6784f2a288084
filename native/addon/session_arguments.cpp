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

size_t dtype_size(Dtype dtype) {
  switch (dtype) {
    case Dtype::kF64:
      return 8;
    case Dtype::kF32:
      return 4;
    default:
      return 2;
  }
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

TrainPlan convert_plan(const Napi::Value& argument, const SessionConfig& config) {
  const Napi::Object value = get_object(argument, "plan");
  TrainPlan plan{};
  plan.dataset = get_int(value, "dataset", 0);
  plan.order = copy_ints(value.Get("order"), "order");
  plan.learning_rates = copy_doubles(value.Get("learningRates"), "learningRates");
  plan.first_step = get_integer(value, "firstStep", 0);
  plan.settings.batch_size = static_cast<int>(get_integer(value, "batchSize", 1, 1 << 20));
  plan.settings.accumulation = static_cast<int>(get_integer(value, "accumulation", 1, 1 << 10));
  plan.settings.seed = static_cast<uint64_t>(get_integer(value, "seed", 0, (1LL << 53) - 1));
  plan.settings.loss.label_smoothing = get_number(value, "labelSmoothing");
  plan.settings.optimizer = {.beta1 = get_number(value, "beta1"),
                             .beta2 = get_number(value, "beta2"),
                             .eps = get_number(value, "eps"),
                             .weight_decay = get_number(value, "weightDecay"),
                             .max_grad_norm = get_number(value, "maxGradNorm")};
  if (is_present(value.Get("classWeights"))) {
    plan.settings.loss.class_weights = copy_doubles(value.Get("classWeights"), "classWeights");
    if (plan.settings.loss.class_weights.size() != static_cast<size_t>(config.model.NC)) {
      refuse_field("one weight a label", "classWeights");
    }
  }
  const size_t step_size = static_cast<size_t>(plan.settings.step_size());
  const size_t steps = (plan.order.size() + step_size - 1) / step_size;
  if (steps < 1 || plan.learning_rates.size() != steps) refuse_field("one learning rate a step", "learningRates");
  return plan;
}

AdapterConfig convert_adapter(const Napi::Value& argument) {
  const Napi::Object value = get_object(argument, "adapter");
  AdapterConfig adapter;
  adapter.labels = get_int(value, "labels", 1);
  if (is_present(value.Get("lora"))) {
    const Napi::Object lora = get_object(value.Get("lora"), "lora");
    adapter.modules = get_strings(lora, "modules");
    adapter.rank = get_int(lora, "rank", 1);
    adapter.scaling = get_number(lora, "scaling");
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
    const std::string name = get_string(tensor, "name");
    const Dtype dtype = convert_dtype(tensor.Get("dtype"));
    const Napi::Value value = tensor.Get("bytes");
    JobBytes bytes = job_bytes(value, owned);
    if (!tensors.emplace(name, AdapterTensor{dtype, bytes.data, bytes.size}).second) {
      refuse_field("each name once", "tensors");
    }
    held.values.push_back(value);
    held.copies.push_back(std::move(bytes.copy));
  }
  return tensors;
}

DatasetArrays convert_dataset(const Napi::Value& argument) {
  const Napi::Object value = get_object(argument, "dataset");
  DatasetArrays arrays;
  arrays.ids = copy_ints(value.Get("ids"), "ids");
  arrays.offsets = copy_ints(value.Get("offsets"), "offsets");
  arrays.has_labels = is_present(value.Get("labels"));
  arrays.has_token_types = is_present(value.Get("typeIds"));
  if (arrays.has_labels) arrays.labels = copy_ints(value.Get("labels"), "labels");
  if (arrays.has_token_types) arrays.token_types = copy_ints(value.Get("typeIds"), "typeIds");
  const std::vector<int32_t>& offsets = arrays.offsets;
  if (offsets.size() < 2 || offsets.back() != static_cast<int64_t>(arrays.ids.size())) {
    refuse_field("offsets that end at the number of ids", "offsets");
  }
  if (arrays.has_labels && arrays.labels.size() + 1 != offsets.size()) refuse_field("one label an example", "labels");
  if (arrays.has_token_types && arrays.token_types.size() != arrays.ids.size()) {
    refuse_field("one type a token", "typeIds");
  }
  for (size_t i = 1; i < offsets.size(); ++i) {
    if (offsets[i] < offsets[i - 1] || offsets[i - 1] < 0) refuse_field("rising offsets", "offsets");
  }
  return arrays;
}

BatchLimits convert_limits(const Napi::Value& argument) {
  const Napi::Object value = get_object(argument, "limits");
  return {get_int(value, "tokens", 1), get_int(value, "sequences", 1)};
}

std::vector<int32_t> convert_starts(const Napi::Value& argument, size_t count) {
  std::vector<int32_t> starts = copy_ints(argument, "starts");
  bool rises = !starts.empty() && starts.front() == 0 && starts.back() == static_cast<int64_t>(count);
  for (size_t i = 1; rises && i < starts.size(); ++i) rises = starts[i] > starts[i - 1];
  if (!rises) refuse_field("integers that rise from 0 to the number of examples", "starts");
  return starts;
}

}  // namespace bertune
