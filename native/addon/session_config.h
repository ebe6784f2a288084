// The configuration of a session, and how to read it from createSession's argument (lib/native/index.ts).
#pragma once

#include <napi.h>

#include <optional>
#include <string>
#include <vector>

#include "model/config.h"

namespace bertune {

struct SessionConfig {
  std::string device;
  std::string precision;
  int threads;
  ModelConfig model;
  std::vector<ParameterRow> parameters;
  LoraConfigs loras;  // of each variant
};

// Throws INVALID_OPTION, naming the field.
SessionConfig convert_session_config(const Napi::Value& argument);
// The role and the layer of a module, and the part of one.
Module convert_module(const Napi::Object& value);
Place convert_place(const Napi::Object& value);

}  // namespace bertune
