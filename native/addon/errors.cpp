#include "addon/errors.h"

#include <new>

namespace bertune {

namespace {

// Both are short enough to lie within a std::string, so that this allocates nothing.
Failure out_of_memory() { return {"OUT_OF_MEMORY", "Out of memory"}; }

Failure describe() {
  try {
    throw;
  } catch (const Error& error) {
    return {error.code(), error.what()};
  } catch (const std::bad_alloc&) {
    return {"OUT_OF_MEMORY", "Expected memory for a call but the system has none"};
  } catch (const std::exception& error) {
    return {"INTERNAL", error.what()};
  } catch (...) {
    return {"INTERNAL", "An unknown exception was thrown"};
  }
}

Napi::Value make_error_with_stack(Napi::Env env, const Failure& failure, const Napi::Value& origin) {
  AddonState& state = AddonState::of(env);
  const Napi::String code = Napi::String::New(env, failure.code);
  const Napi::String message = Napi::String::New(env, failure.message);
  Napi::Object error;
  if (state.error_factory.IsEmpty()) {
    error = Napi::Error::New(env, failure.message).Value();
    error.Set("code", code);
  } else {
    const Napi::Value made = state.error_factory.Call({code, message});
    if (!made.IsObject()) return made;
    error = made.As<Napi::Object>();
  }
  if (!origin.IsEmpty() && origin.IsObject()) {
    const Napi::Value stack = origin.As<Napi::Object>().Get("stack");
    const std::string text = stack.IsString() ? stack.As<Napi::String>().Utf8Value() : "";
    const size_t frames = text.find('\n');
    if (frames != std::string::npos) {
      error.Set("stack", "BertuneError: " + failure.message + text.substr(frames));
    }
  }
  return error;
}

}  // namespace

Failure describe_current_exception() noexcept {
  try {
    return describe();
  } catch (...) {
    return out_of_memory();
  }
}

Napi::Value make_error(Napi::Env env, const Failure& failure, const Napi::Value& origin) {
  try {
    return make_error_with_stack(env, failure, origin);
  } catch (const std::bad_alloc&) {
    return make_error_with_stack(env, out_of_memory(), Napi::Value());
  }
}

namespace {

Napi::Value set_function(const Napi::CallbackInfo& info, Napi::FunctionReference AddonState::* member,
                         const char* name) {
  const Napi::Env env = info.Env();
  return translate_errors(env, [&]() -> Napi::Value {
    if (!info[0].IsFunction()) throw Napi::TypeError::New(env, std::string("Expected a function for ") + name);
    AddonState::of(env).*member = Napi::Persistent(info[0].As<Napi::Function>());
    return env.Undefined();
  });
}

}  // namespace

Napi::Value set_error_factory(const Napi::CallbackInfo& info) {
  return set_function(info, &AddonState::error_factory, "factory");
}

Napi::Value set_warning_handler(const Napi::CallbackInfo& info) {
  return set_function(info, &AddonState::warning_handler, "handler");
}

void emit_warning(Napi::Env env, const std::string& message) {
  const AddonState& state = AddonState::of(env);
  if (!state.warning_handler.IsEmpty()) state.warning_handler.Call({Napi::String::New(env, message)});
}

}  // namespace bertune
