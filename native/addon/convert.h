// Converts between JavaScript values and plain structs. TypeScript has validated the values; these checks keep memory safe.
#pragma once

#include <napi.h>

#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "core/error.h"

namespace bertune {

[[noreturn]] inline void refuse_field(const char* expected, const std::string& name) {
  throw Error("INVALID_OPTION", std::string("Expected ") + expected + " for " + name);
}

inline double get_number(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsNumber()) refuse_field("a number", name);
  return value.As<Napi::Number>().DoubleValue();
}

// An integer in [least, most].
inline int64_t get_integer(const Napi::Object& object, const char* name, int64_t least,
                           int64_t most = std::numeric_limits<int32_t>::max()) {
  const double value = get_number(object, name);
  if (!(value >= static_cast<double>(least) && value <= static_cast<double>(most)) || value != std::floor(value)) {
    refuse_field(("an integer from " + std::to_string(least) + " to " + std::to_string(most)).c_str(), name);
  }
  return static_cast<int64_t>(value);
}
inline int get_int(const Napi::Object& object, const char* name, int least) {
  return static_cast<int>(get_integer(object, name, least));
}

// A probability of dropping, in [0, 1).
inline double get_probability(const Napi::Object& object, const char* name) {
  const double value = get_number(object, name);
  if (!(value >= 0.0 && value < 1.0)) refuse_field("a number in [0, 1)", name);
  return value;
}

inline std::string get_string(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsString()) refuse_field("a string", name);
  return value.As<Napi::String>().Utf8Value();
}

inline bool get_bool(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsBoolean()) refuse_field("a boolean", name);
  return value.As<Napi::Boolean>().Value();
}

inline Napi::Object get_object(const Napi::Value& value, const char* name) {
  if (!value.IsObject()) refuse_field("an object", name);
  return value.As<Napi::Object>();
}

// The objects of an array.
inline std::vector<Napi::Object> get_objects(const Napi::Value& value, const char* name) {
  if (!value.IsArray()) refuse_field("an array of objects", name);
  const Napi::Array array = value.As<Napi::Array>();
  std::vector<Napi::Object> objects;
  for (uint32_t i = 0; i < array.Length(); ++i) objects.push_back(get_object(array.Get(i), name));
  return objects;
}

// Non-negative integers below 2^53.
inline std::vector<int64_t> get_integers(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsArray()) refuse_field("an array of integers", name);
  const Napi::Array array = value.As<Napi::Array>();
  std::vector<int64_t> integers;
  for (uint32_t i = 0; i < array.Length(); ++i) {
    const Napi::Value item = array.Get(i);
    const double number = item.IsNumber() ? item.As<Napi::Number>().DoubleValue() : -1;
    if (!(number >= 0 && number < 9007199254740992.0) || number != std::floor(number)) {
      refuse_field("an array of integers", name);
    }
    integers.push_back(static_cast<int64_t>(number));
  }
  return integers;
}

inline bool is_present(const Napi::Value& value) { return !value.IsUndefined() && !value.IsNull(); }

// A copy of a typed array, so that the caller may change or detach its buffer while the job waits.
template <typename Scalar, napi_typedarray_type kType>
std::vector<Scalar> copy_array(const Napi::Value& value, const char* expected, const char* name) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != kType) refuse_field(expected, name);
  const auto array = value.As<Napi::TypedArrayOf<Scalar>>();
  return array.ElementLength() ? std::vector<Scalar>(array.Data(), array.Data() + array.ElementLength())
                               : std::vector<Scalar>();
}
inline std::vector<int32_t> copy_ints(const Napi::Value& value, const char* name) {
  return copy_array<int32_t, napi_int32_array>(value, "an Int32Array", name);
}
inline std::vector<float> copy_floats(const Napi::Value& value, const char* name) {
  return copy_array<float, napi_float32_array>(value, "a Float32Array", name);
}
inline std::vector<double> copy_doubles(const Napi::Value& value, const char* name) {
  return copy_array<double, napi_float64_array>(value, "a Float64Array", name);
}

// The bytes of a Uint8Array for a job. They are copied, so that the caller may change, detach or resize the buffer at
// once. If they are `owned`, nobody else has the buffer, and they are used in place.
struct JobBytes {
  std::shared_ptr<std::vector<uint8_t>> copy;
  const uint8_t* data = nullptr;
  size_t size = 0;
};
inline JobBytes job_bytes(const Napi::Value& value, bool owned) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    refuse_field("a Uint8Array", "bytes");
  }
  const auto array = value.As<Napi::Uint8Array>();
  const size_t size = array.ByteLength();
  if (owned || size == 0) return {nullptr, array.Data(), size};
  auto copy = std::make_shared<std::vector<uint8_t>>(array.Data(), array.Data() + size);
  const uint8_t* data = copy->data();
  return {std::move(copy), data, size};
}

// Whether an optional boolean is true.
inline bool to_flag(const Napi::Value& value, const char* name) {
  if (!is_present(value)) return false;
  if (!value.IsBoolean()) refuse_field("a boolean", name);
  return value.As<Napi::Boolean>().Value();
}

// An integer in [0, 2^31) that is an argument by itself.
inline int32_t to_handle(const Napi::Value& value, const char* name) {
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
  if (!(number >= 0 && number <= std::numeric_limits<int32_t>::max()) || number != std::floor(number)) {
    refuse_field("a non-negative integer", name);
  }
  return static_cast<int32_t>(number);
}

}  // namespace bertune
