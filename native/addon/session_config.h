// What a session is built from, and how it is read from createSession's argument (lib/native.ts).
#pragma once

#include <napi.h>

#include <string>

#include "model/config.h"

namespace bertune {

struct SessionConfig {
  std::string device;
  std::string precision;
  int threads;
  ModelConfig model;
  MethodConfig method;
};

// Throws INVALID_OPTION naming the field.
SessionConfig convert_session_config(const Napi::Value& argument);

}  // namespace bertune
