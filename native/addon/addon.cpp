// The addon's exports (lib/native/index.ts's NativeAddon).
#include <napi.h>

#include "addon/devices.h"
#include "addon/errors.h"
#include "addon/file_lock.h"
#include "addon/job.h"
#include "addon/session.h"
#include "core/device.h"

namespace bertune {
namespace {

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

void end_threads(const Napi::CallbackInfo&) { JobQueue::end_threads(); }

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  auto* state = new AddonState();
  env.SetInstanceData(state);
  state->array_buffer = Napi::Persistent(env.Global().Get("ArrayBuffer").As<Napi::Function>());
  Session::define(env);
  exports.Set("version", BERTUNE_VERSION);
  exports.Set("devices", Napi::Function::New(env, devices));
  exports.Set("blas", Napi::Function::New(env, blas));
  exports.Set("setErrorFactory", Napi::Function::New(env, set_error_factory));
  exports.Set("setWarningHandler", Napi::Function::New(env, set_warning_handler));
  exports.Set("addDevice", Napi::Function::New(env, add_device));
  exports.Set("lockFile", Napi::Function::New(env, lock_file));
  exports.Set("endThreads", Napi::Function::New(env, end_threads));
  exports.Set("createSession", Napi::Function::New(env, Session::create));
  return exports;
}

NODE_API_MODULE(bertune, initialise)

}  // namespace
}  // namespace bertune
