#include "addon/devices.h"

#include "addon/errors.h"
#include "core/device.h"
#include "core/device_library.h"

namespace bertune {

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

Napi::Value add_device(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return translate_errors(env, [&]() -> Napi::Value {
    if (!info[0].IsString() || !info[1].IsString()) throw Napi::TypeError::New(env, "Expected a device and a path");
    add_device_library(info[0].As<Napi::String>().Utf8Value(), info[1].As<Napi::String>().Utf8Value());
    return env.Undefined();
  });
}

}  // namespace bertune
