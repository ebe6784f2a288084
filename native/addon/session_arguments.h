// The arguments of a session's methods (lib/native.ts) → plain values. Each throws INVALID_OPTION naming the argument.
#pragma once

#include <napi.h>

#include <string>
#include <vector>

#include "addon/session_core.h"

namespace bertune {

std::string convert_name(const Napi::Value& value);

// 'value', 'm' or 'v', and 'gradient' where it may be read.
std::string convert_part(const Napi::Value& value, bool readable);

Dtype convert_dtype(const Napi::Value& value);
// Bytes of an element.
size_t dtype_size(Dtype dtype);

AdapterConfig convert_adapter(const Napi::Value& argument);
// The tensors' buffers go into `held`: they must live, and must not change, while the tensors are used.
AdapterTensors convert_adapter_tensors(const Napi::Value& argument, std::vector<Napi::Value>& held);

BatchLimits convert_limits(const Napi::Value& argument);
TrainPlan convert_plan(const Napi::Value& argument, const SessionConfig& config);

}  // namespace bertune
