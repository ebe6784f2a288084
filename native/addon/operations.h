// runOperation and operations of lib/native.ts: one named operation of the backend at a time, for tests and benches.
#pragma once

#include <napi.h>

namespace bertune {

void register_operations(Napi::Env env, Napi::Object exports);

}  // namespace bertune
