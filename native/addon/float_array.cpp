#include "addon/float_array.h"

#include <cstring>
#include <string>

#include "addon/errors.h"

namespace bertune {

Napi::TypedArray make_float_array(Napi::Env env, size_t elements, Dtype dtype) {
  const double bytes = static_cast<double>(elements) * (dtype == Dtype::kF64 ? sizeof(double) : sizeof(float));
  Napi::ArrayBuffer buffer;
  try {
    buffer = AddonState::of(env).array_buffer.New({Napi::Number::New(env, bytes)}).As<Napi::ArrayBuffer>();
  } catch (const Napi::Error&) {
    throw Error("OUT_OF_MEMORY", "Expected an array of " + std::to_string(static_cast<int64_t>(bytes)) +
                                     " bytes for the result but JavaScript has no room for it");
  }
  if (dtype == Dtype::kF64) return Napi::Float64Array::New(env, elements, buffer, 0);
  return Napi::Float32Array::New(env, elements, buffer, 0);
}

void* data_of(const Napi::TypedArray& array) { return array.ArrayBuffer().Data(); }

Napi::TypedArray to_float_array(Napi::Env env, const std::vector<uint8_t>& bytes, Dtype dtype) {
  const size_t size = dtype == Dtype::kF64 ? sizeof(double) : sizeof(float);
  const Napi::TypedArray array = make_float_array(env, bytes.size() / size, dtype);
  if (!bytes.empty()) std::memcpy(data_of(array), bytes.data(), bytes.size());
  return array;
}

Napi::TypedArray to_float64_array(Napi::Env env, const std::vector<double>& values) {
  const Napi::TypedArray array = make_float_array(env, values.size(), Dtype::kF64);
  if (!values.empty()) std::memcpy(data_of(array), values.data(), values.size() * sizeof(double));
  return array;
}

}  // namespace bertune
