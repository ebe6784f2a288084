// devices() and addDevice() of lib/native/index.ts.
#pragma once

#include <napi.h>

namespace bertune {

Napi::Value devices(const Napi::CallbackInfo& info);

// addDevice(name, path)
Napi::Value add_device(const Napi::CallbackInfo& info);

}  // namespace bertune
