// Float arrays that a session gives to JavaScript.
#pragma once

#include <napi.h>

#include <cstdint>
#include <vector>

#include "core/backend.h"

namespace bertune {

// A Float32Array, or a Float64Array for F64, zero-filled. Throws OUT_OF_MEMORY.
Napi::TypedArray make_float_array(Napi::Env env, size_t elements, Dtype dtype);

// Where its elements are. A job may write there while the event loop runs: JavaScript gets the array only afterwards.
void* data_of(const Napi::TypedArray& array);

// The same over a copy of the bytes of floats, or of doubles for F64.
Napi::TypedArray to_float_array(Napi::Env env, const std::vector<uint8_t>& bytes, Dtype dtype);
Napi::TypedArray to_float64_array(Napi::Env env, const std::vector<double>& values);

}  // namespace bertune
