// The addon's exports (lib/native.ts's NativeAddon).
#include <napi.h>

#include "addon/convert.h"
#include "addon/errors.h"
#include "addon/file_lock.h"
#include "addon/operations.h"
#include "addon/session.h"
#include "core/cuda_library.h"
#include "core/device.h"

namespace bertune {
namespace {

Napi::Value devices(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return translate_errors(env, [&]() -> Napi::Value {
    const Napi::Array array = Napi::Array::New(env);
    for (const DeviceInfo& device : list_devices()) {
      const Napi::Object item = Napi::Object::New(env);
      const Napi::Array precisions = Napi::Array::New(env);
      for (uint32_t i = 0; i < device.precisions.size(); ++i) precisions.Set(i, device.precisions[i]);
      item.Set("device", device.device);
      item.Set("name", device.name);
      item.Set("totalMemory", static_cast<double>(device.total_memory));
      item.Set("available", device.available);
      if (!device.available) item.Set("reason", device.reason);
      item.Set("precisions", precisions);
      item.Set("libraries", device.libraries);
      array.Set(array.Length(), item);
    }
    return array;
  });
}

Napi::Value blas(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return translate_errors(env, [&]() -> Napi::Value {
    const BlasInfo blas = blas_info();
    const Napi::Object object = Napi::Object::New(env);
    object.Set("library", blas.library);
    object.Set("version", blas.version);
    object.Set("kernel", blas.kernel);
    return object;
  });
}

Napi::Value set_error_factory(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return translate_errors(env, [&]() -> Napi::Value {
    if (!info[0].IsFunction()) throw Napi::TypeError::New(env, "Expected a function for factory");
    AddonState::of(env).error_factory = Napi::Persistent(info[0].As<Napi::Function>());
    return env.Undefined();
  });
}

Napi::Value set_cuda_library_path(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return translate_errors(env, [&]() -> Napi::Value {
    if (!info[0].IsString()) throw Napi::TypeError::New(env, "Expected a string for path");
    set_cuda_library(info[0].As<Napi::String>().Utf8Value());
    return env.Undefined();
  });
}

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  auto* state = new AddonState();
  env.SetInstanceData(state);
  state->array_buffer = Napi::Persistent(env.Global().Get("ArrayBuffer").As<Napi::Function>());
  Session::define(env);
  exports.Set("version", BERTUNE_VERSION);
  exports.Set("devices", Napi::Function::New(env, devices));
  exports.Set("blas", Napi::Function::New(env, blas));
  exports.Set("setErrorFactory", Napi::Function::New(env, set_error_factory));
  exports.Set("setCudaLibrary", Napi::Function::New(env, set_cuda_library_path));
  exports.Set("lockFile", Napi::Function::New(env, lock_file));
  exports.Set("createSession", Napi::Function::New(env, Session::create));
  register_operations(env, exports);
  return exports;
}

NODE_API_MODULE(bertune, initialise)

}  // namespace
}  // namespace bertune
