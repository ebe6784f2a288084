// Float arrays that a session gives to JavaScript.
#pragma once

#include <napi.h>

#include <cstdint>
#include <vector>

#include "core/backend.h"

namespace bertune {

// A Float32Array, or a Float64Array for F64, zero-filled. Throws OUT_OF_MEMORY.
Napi::TypedArray make_float_array(Napi::Env env, size_t elements, Dtype dtype);

// Its elements. A job may write to them while the event loop runs, because JavaScript gets the array only afterward.
void* data_of(const Napi::TypedArray& array);

// The same with a copy of these bytes, which are floats, or doubles for F64.
Napi::TypedArray to_float_array(Napi::Env env, const std::vector<uint8_t>& bytes, Dtype dtype);
Napi::TypedArray to_float64_array(Napi::Env env, const std::vector<double>& values);

}  // namespace bertune
