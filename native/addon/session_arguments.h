// The arguments of a session's methods (lib/native/index.ts) → plain values. Each throws INVALID_OPTION naming the argument.
#pragma once

#include <napi.h>

#include <memory>
#include <string>
#include <vector>

#include "addon/session_core.h"

namespace bertune {

std::string convert_name(const Napi::Value& value);

// 'value', 'm' or 'v', or if `readable`, also 'gradient'.
std::string convert_part(const Napi::Value& value, bool readable);

Dtype convert_dtype(const Napi::Value& value);

AdapterConfig convert_adapter(const Napi::Value& argument);
// What must live while tensors are in use: JavaScript's arrays, and copies of those that are not `owned`.
struct HeldBytes {
  std::vector<Napi::Value> values;
  std::vector<std::shared_ptr<std::vector<uint8_t>>> copies;
};
AdapterTensors convert_adapter_tensors(const Napi::Value& argument, bool owned, HeldBytes& held);

// The arrays of NativeDataset (lib/native/index.ts), copied, so that the caller may change its own.
struct DatasetArrays {
  std::vector<int32_t> ids, offsets, labels, token_types, positions;
  std::vector<float> targets;
  bool has_labels = false, has_token_types = false, has_positions = false, has_targets = false;

  DatasetView view() const {
    return {.examples = static_cast<int64_t>(offsets.size()) - 1,
            .ids = ids.data(),
            .offsets = offsets.data(),
            .labels = has_labels ? labels.data() : nullptr,
            .token_types = has_token_types ? token_types.data() : nullptr,
            .positions = has_positions ? positions.data() : nullptr,
            .targets = has_targets ? targets.data() : nullptr};
  }
};

// `labels`: NC, the number of targets per example.
DatasetArrays convert_dataset(const Napi::Value& argument, int labels);
BatchLimits convert_limits(const Napi::Value& argument);
// The starts of the batches that `count` examples are cut into, and the end: rising from 0 to `count`.
std::vector<int32_t> convert_starts(const Napi::Value& argument, size_t count);
TrainPlan convert_plan(const Napi::Value& argument, const SessionConfig& config);

}  // namespace bertune
