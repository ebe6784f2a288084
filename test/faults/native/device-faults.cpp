// Lets calls of the emulated CUDA runtime fail: bertune_emulated_fault of test/simt/runtime/fault.cpp, for JavaScript.
#include <dlfcn.h>
#include <node_api.h>

namespace {

// fail(library, kind, n): the n-th of the kind from now on. Returns how many there were since the call before.
napi_value fail(napi_env env, napi_callback_info info) {
  napi_value arguments[3];
  size_t count = 3;
  char library[4096];
  size_t length = 0;
  int64_t kind = 0, n = 0;
  napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr);
  napi_get_value_string_utf8(env, arguments[0], library, sizeof library, &length);
  napi_get_value_int64(env, arguments[1], &kind);
  napi_get_value_int64(env, arguments[2], &n);
  void* handle = dlopen(library, RTLD_NOW | RTLD_NOLOAD);
  const auto function =
      handle ? reinterpret_cast<long (*)(int, long)>(dlsym(handle, "bertune_emulated_fault")) : nullptr;
  if (!function) {
    napi_throw_error(env, nullptr, "Expected the emulated CUDA backend to be loaded, and built with its faults");
    return nullptr;
  }
  napi_value result;
  napi_create_int64(env, function(static_cast<int>(kind), static_cast<long>(n)), &result);
  return result;
}

}  // namespace

NAPI_MODULE_INIT() {
  napi_value function;
  napi_create_function(env, "fail", NAPI_AUTO_LENGTH, fail, nullptr, &function);
  napi_set_named_property(env, exports, "fail", function);
  return exports;
}
