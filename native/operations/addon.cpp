// bertune_operations.node: the operations of core/backend.h one at a time, by name, for tests and benches
// (bench/support/operations.js).
#include <napi.h>

#include <chrono>
#include <cstring>
#include <memory>
#include <utility>

#include "addon/convert.h"
#include "addon/devices.h"
#include "addon/errors.h"
#include "core/device.h"
#include "core/recorded.h"
#include "operations/products.h"
#include "operations/table.h"

namespace bertune {
namespace {

struct Where {
  std::string device, precision;
  int threads;
};

ElementType element_type(const Napi::TypedArray& array, const std::string& name) {
  switch (array.TypedArrayType()) {
    case napi_float32_array:
      return ElementType::kFloat32;
    case napi_float64_array:
      return ElementType::kFloat64;
    case napi_int32_array:
      return ElementType::kInt32;
    default:
      refuse_field("a Float32Array, Float64Array or Int32Array", name);
  }
}

// Copies the arrays in, so that the worker touches no memory of JavaScript's, and what it wrote out.
class Arrays {
 public:
  explicit Arrays(const Napi::Object& object) {
    const Napi::Array names = object.GetPropertyNames();
    for (uint32_t i = 0; i < names.Length(); ++i) {
      const std::string name = names.Get(i).As<Napi::String>();
      const Napi::Value value = object.Get(name);
      if (is_present(value)) add(name, value);
    }
  }

  const HostTensors& tensors() const { return tensors_; }

  void write_back() {
    for (Copy& copy : copies_) {
      Napi::ArrayBuffer buffer = copy.buffer.Value().As<Napi::ArrayBuffer>();
      // A buffer that was detached in the meantime is of length 0.
      if (copy.host->written && buffer.ByteLength() == copy.host->bytes.size()) {
        std::memcpy(buffer.Data(), copy.host->bytes.data(), copy.host->bytes.size());
      }
    }
  }

 private:
  struct Copy {
    Napi::Reference<Napi::Value> buffer;
    std::unique_ptr<HostBuffer> host;
  };

  void add(const std::string& name, const Napi::Value& value) {
    if (!value.IsTypedArray()) refuse_field("a Float32Array, Float64Array or Int32Array", name);
    const Napi::TypedArray array = value.As<Napi::TypedArray>();
    const ElementType type = element_type(array, name);
    if (!array.ArrayBuffer().IsArrayBuffer()) refuse_field("an array that no other thread shares", name);
    tensors_[name] = {type, copy_of(array.ArrayBuffer()), array.ByteOffset() / array.ElementSize(),
                      array.ElementLength()};
  }

  HostBuffer* copy_of(Napi::ArrayBuffer buffer) {
    for (const Copy& copy : copies_) {
      if (copy.buffer.Value().StrictEquals(buffer)) return copy.host.get();
    }
    auto host = std::make_unique<HostBuffer>();
    const auto* data = static_cast<const unsigned char*>(buffer.Data());
    if (buffer.ByteLength() > 0) host->bytes.assign(data, data + buffer.ByteLength());
    copies_.push_back({Napi::Reference<Napi::Value>::New(buffer, 1), std::move(host)});
    return copies_.back().host.get();
  }

  std::vector<Copy> copies_;
  HostTensors tensors_;
};

// Seconds of `repeat` runs. Where a backend records, it is the replay of a recording that is timed, as in training.
double time_runs(Backend& backend, const std::function<void()>& run, int repeat) {
  const bool records = repeat > 1 && backend.run_ahead() > 1;
  const auto all = [&] {
    for (int i = 0; i < repeat; ++i) run();
  };
  double seconds = 0;
  for (int pass = 0; pass < (records ? 3 : 1); ++pass) {  // run, recorded, replayed
    const auto start = std::chrono::steady_clock::now();
    records ? run_recorded(backend, {}, all) : all();
    backend.synchronize();
    seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  return seconds;
}

double run_operation(const std::string& name, const Where& where, const HostTensors& tensors, const HostSizes& sizes,
                     int repeat) {
  const Operation& operation = find_operation(name);
  const std::unique_ptr<Backend> backend = make_backend(where.device, where.precision, where.threads);
  Fields fields(*backend, tensors, sizes);
  const std::function<void()> run = operation(fields);
  fields.prepare();
  const double seconds = time_runs(*backend, run, repeat);
  fields.collect();
  return seconds / repeat;
}

class OperationWorker : public Napi::AsyncWorker {
 public:
  OperationWorker(Napi::Env env, std::string name, Where where, Arrays arrays, HostSizes sizes, int repeat)
      : Napi::AsyncWorker(env),
        deferred_(Napi::Promise::Deferred::New(env)),
        origin_(Napi::Reference<Napi::Value>::New(Napi::Error::New(env, "").Value(), 1)),
        name_(std::move(name)),
        where_(std::move(where)),
        arrays_(std::move(arrays)),
        sizes_(std::move(sizes)),
        repeat_(repeat) {}

  Napi::Promise promise() const { return deferred_.Promise(); }

  void Execute() override {
    try {
      seconds_ = run_operation(name_, where_, arrays_.tensors(), sizes_, repeat_);
    } catch (...) {
      failure_ = std::make_unique<Failure>(describe_current_exception());
    }
  }

  void OnOK() override {
    const Napi::Env env = Env();
    if (failure_) {
      deferred_.Reject(make_error(env, *failure_, origin_.Value()));
      return;
    }
    arrays_.write_back();
    const Napi::Object result = Napi::Object::New(env);
    result.Set("seconds", seconds_);
    deferred_.Resolve(result);
  }

 private:
  Napi::Promise::Deferred deferred_;
  Napi::Reference<Napi::Value> origin_;
  std::string name_;
  Where where_;
  Arrays arrays_;
  HostSizes sizes_;
  int repeat_;
  double seconds_ = 0;
  std::unique_ptr<Failure> failure_;
};

HostSizes sizes_of(const Napi::Object& object) {
  HostSizes sizes;
  const Napi::Array names = object.GetPropertyNames();
  for (uint32_t i = 0; i < names.Length(); ++i) {
    const std::string name = names.Get(i).As<Napi::String>();
    if (is_present(object.Get(name))) sizes[name] = get_number(object, name.c_str());
  }
  return sizes;
}

// runOperation(name, where, tensors, sizes, repeat)
Napi::Value run_operation_of(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return translate_errors(env, [&]() -> Napi::Value {
    if (!info[0].IsString()) refuse_field("a string", "name");
    const std::string name = info[0].As<Napi::String>();
    find_operation(name);
    const Napi::Object where = get_object(info[1], "where");
    const int64_t threads = get_integer(where, "threads", 1, 1024);
    const int32_t repeat = to_handle(info[4], "repeat");
    if (repeat < 1 || repeat > 1000000) refuse_field("an integer in [1, 1000000]", "repeat");
    auto* worker = new OperationWorker(
        env, name, {get_string(where, "device"), get_string(where, "precision"), static_cast<int>(threads)},
        Arrays(get_object(info[2], "tensors")), sizes_of(get_object(info[3], "sizes")), repeat);
    const Napi::Promise promise = worker->promise();
    worker->Queue();
    return promise;
  });
}

// timeProduct(provider, m, n, k, transposeA, transposeB, seconds): seconds of one, or undefined where this machine has it not
Napi::Value time_product_of(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return translate_errors(env, [&]() -> Napi::Value {
    const std::string provider = info[0].ToString();
    const int m = to_handle(info[1], "m"), n = to_handle(info[2], "n"), k = to_handle(info[3], "k");
    const double seconds =
        time_product(provider, m, n, k, info[4].ToBoolean(), info[5].ToBoolean(), info[6].ToNumber().DoubleValue());
    return seconds > 0 ? Napi::Number::New(env, seconds) : env.Undefined();
  });
}

Napi::Value operations(const Napi::CallbackInfo& info) {
  const Napi::Array names = Napi::Array::New(info.Env());
  for (const std::string& name : operation_names()) names.Set(names.Length(), name);
  return names;
}

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new AddonState());
  exports.Set("setErrorFactory", Napi::Function::New(env, set_error_factory));
  exports.Set("addDevice", Napi::Function::New(env, add_device));
  exports.Set("runOperation", Napi::Function::New(env, run_operation_of));
  exports.Set("operations", Napi::Function::New(env, operations));
  exports.Set("timeProduct", Napi::Function::New(env, time_product_of));
  return exports;
}

NODE_API_MODULE(bertune_operations, initialise)

}  // namespace
}  // namespace bertune
