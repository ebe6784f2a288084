// What one JavaScript environment (main thread or worker) keeps, and how native exceptions become its errors.
#pragma once

#include <napi.h>

#include <exception>
#include <string>

#include "core/error.h"

namespace bertune {

// Per environment: nothing is global.
struct AddonState {
  Napi::FunctionReference error_factory;    // (code, message) => Error
  Napi::FunctionReference warning_handler;  // (message) => void
  Napi::FunctionReference session_constructor;
  Napi::FunctionReference array_buffer;  // ArrayBuffer, which fails with an exception; Node-API's ends the process

  static AddonState& of(Napi::Env env) { return *env.GetInstanceData<AddonState>(); }
};

// A caught exception as plain strings, so that it can cross threads.
struct Failure {
  std::string code;
  std::string message;
};

// Call it in a catch block. Without enough memory for the message, it gives the shortest one that says so.
Failure describe_current_exception() noexcept;

// An error of the library's own class. `origin`, unless empty, is an Error made where the work was requested: its stack
// is the useful one. Throws nothing but Napi::Error; without enough memory for the message, the error says only that.
Napi::Value make_error(Napi::Env env, const Failure& failure, const Napi::Value& origin = Napi::Value());

// setErrorFactory(factory) and setWarningHandler(handler) of lib/native/index.ts.
Napi::Value set_error_factory(const Napi::CallbackInfo& info);
Napi::Value set_warning_handler(const Napi::CallbackInfo& info);

// Passes a warning to the handler, if there is one.
void emit_warning(Napi::Env env, const std::string& message);

// Runs a synchronous function of the addon; a native exception becomes a JavaScript one.
template <typename Function>
Napi::Value translate_errors(Napi::Env env, Function&& function) {
  try {
    return function();
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    throw Napi::Error(env, make_error(env, describe_current_exception()));
  }
}

}  // namespace bertune
