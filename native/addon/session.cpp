#include "addon/session.h"

#include <exception>
#include <new>
#include <utility>

#include "addon/convert.h"
#include "addon/errors.h"
#include "addon/float_array.h"
#include "addon/session_arguments.h"
#include "core/elements.h"
#include "model/inference.h"
#include "model/initializer.h"

namespace bertune {
namespace {

using Bytes = std::shared_ptr<std::vector<uint8_t>>;

Bytes make_bytes(size_t count) { return std::make_shared<std::vector<uint8_t>>(count); }

// The only C++ exception that node-addon-api sees in a constructor is that of its own allocation, which it makes a
// plain error of.
Napi::Object construct(Napi::Env env, std::shared_ptr<SessionCore>& core) {
  try {
    return AddonState::of(env).session_constructor.New({Napi::External<std::shared_ptr<SessionCore>>::New(env, &core)});
  } catch (const Napi::Error& error) {
    if (error.Value().Has("code")) throw;
    throw std::bad_alloc();
  }
}

Napi::Object to_object(Napi::Env env, const TrainOutcome& outcome) {
  const Napi::Object result = Napi::Object::New(env);
  result.Set("losses", to_float64_array(env, outcome.losses));
  result.Set("gradNorms", to_float64_array(env, outcome.grad_norms));
  result.Set("steps", static_cast<double>(outcome.steps));
  result.Set("correct", static_cast<double>(outcome.correct));
  result.Set("examples", static_cast<double>(outcome.examples));
  result.Set("stopped", outcome.stopped);
  return result;
}

[[noreturn]] void refuse_disposed() { throw Error("DISPOSED", "Expected a live session but it was disposed"); }

}  // namespace

void Session::define(Napi::Env env) {
  const Napi::Function constructor = DefineClass(env, "NativeSession",
                                                 {
                                                     InstanceMethod<&Session::parameters>("parameters"),
                                                     InstanceMethod<&Session::memory>("memory"),
                                                     InstanceMethod<&Session::read>("read"),
                                                     InstanceMethod<&Session::write>("write"),
                                                     InstanceMethod<&Session::initialize>("initialize"),
                                                     InstanceMethod<&Session::add_dataset>("addDataset"),
                                                     InstanceMethod<&Session::remove_dataset>("removeDataset"),
                                                     InstanceMethod<&Session::add_adapter>("addAdapter"),
                                                     InstanceMethod<&Session::remove_adapter>("removeAdapter"),
                                                     InstanceMethod<&Session::reserve>("reserve"),
                                                     InstanceMethod<&Session::train>("train"),
                                                     InstanceMethod<&Session::train_together>("trainTogether"),
                                                     InstanceMethod<&Session::select>("select"),
                                                     InstanceMethod<&Session::gradients>("gradients"),
                                                     InstanceMethod<&Session::forward>("forward"),
                                                     InstanceMethod<&Session::forward_mixed>("forwardMixed"),
                                                     InstanceMethod<&Session::predict>("predict"),
                                                     InstanceMethod<&Session::recordings>("recordings"),
                                                     InstanceMethod<&Session::hidden_states>("hiddenStates"),
                                                     InstanceMethod<&Session::prompt_embeddings>("promptEmbeddings"),
                                                     InstanceMethod<&Session::join_ranks>("joinRanks"),
                                                     InstanceMethod<&Session::all_reduce>("allReduce"),
                                                     InstanceMethod<&Session::leave_ranks>("leaveRanks"),
                                                     InstanceMethod<&Session::abort>("abort"),
                                                     InstanceMethod<&Session::dispose>("dispose"),
                                                 });
  AddonState::of(env).session_constructor = Napi::Persistent(constructor);
}

Napi::Value Session::create(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return translate_errors(env, [&]() -> Napi::Value {
    auto core = std::make_shared<SessionCore>();
    core->config = convert_session_config(info[0]);
    const Napi::Object object = construct(env, core);
    Session* session = Unwrap(object);
    auto failure = std::make_shared<std::exception_ptr>();
    return session->queue_->submit(
        env,
        [core, failure] {
          try {
            core->build();
          } catch (...) {
            *failure = std::current_exception();
          }
        },
        [session, failure](Napi::Env job_env) -> Napi::Value {
          if (*failure) {
            session->queue_->stop();  // nobody gets the session, so its thread need not wait to be collected
            std::rethrow_exception(*failure);
          }
          session->report_external_memory(job_env);
          return session->Value();
        },
        {object});
  });
}

Session::Session(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Session>(info) {
  if (!info[0].IsExternal()) {
    throw Napi::Error(info.Env(),
                      make_error(info.Env(), {"INVALID_OPTION", "Expected sessions to come from createSession"}));
  }
  core_ = *info[0].As<Napi::External<std::shared_ptr<SessionCore>>>().Data();
  translate_errors(info.Env(), [&]() -> Napi::Value {
    queue_ = std::make_unique<JobQueue>(info.Env(), [core = core_] { ++core->aborts; });
    return info.Env().Undefined();
  });
}

void Session::Finalize(Napi::Env env) {
  if (reported_bytes_ != 0) Napi::MemoryManagement::AdjustExternalMemory(env, -reported_bytes_);
  reported_bytes_ = 0;
}

Napi::Value Session::submit(const Napi::CallbackInfo& info, Work work, Finish finish, std::vector<Napi::Value> held) {
  if (disposed_) refuse_disposed();
  held.push_back(info.This());
  auto warning = std::make_shared<std::string>();
  return queue_->submit(
      info.Env(),
      [core = core_, variant = variant_, warning, work = std::move(work)] {
        if (core->classifier) core->classifier->select(variant);
        work(*core);
        *warning = core->take_warning();
      },
      [this, warning, finish = std::move(finish)](Napi::Env env) {
        report_external_memory(env);
        if (!warning->empty()) emit_warning(env, *warning);
        return finish ? finish(env) : env.Undefined();
      },
      held);
}

Napi::Value Session::submit_to_array(const Napi::CallbackInfo& info, const Napi::TypedArray& array, Work work) {
  auto reference = std::make_shared<Napi::Reference<Napi::TypedArray>>(Napi::Persistent(array));
  return submit(info, std::move(work), [reference](Napi::Env) { return reference->Value(); });
}

std::function<bool()> Session::may_proceed() const {
  return [core = core_, since = core_->aborts.load()] { return core->aborts.load() == since; };
}

// V8 learns of the memory behind the object, so that it collects dropped sessions in time.
void Session::report_external_memory(Napi::Env env) {
  const int64_t bytes = static_cast<int64_t>(core_->current_figures().total());
  Napi::MemoryManagement::AdjustExternalMemory(env, bytes - reported_bytes_);
  reported_bytes_ = bytes;
}

Napi::Value Session::parameters(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return translate_errors(env, [&]() -> Napi::Value {
    if (disposed_) refuse_disposed();
    const Napi::Array array = Napi::Array::New(env);
    uint32_t index = 0;
    for (const Parameter& parameter : core_->classifier->parameters().all()) {
      const Napi::Object item = Napi::Object::New(env);
      const Napi::Array shape = Napi::Array::New(env, parameter.shape.size());
      for (uint32_t i = 0; i < parameter.shape.size(); ++i) {
        shape.Set(i, Napi::Number::New(env, static_cast<double>(parameter.shape[i])));
      }
      item.Set("name", parameter.name);
      item.Set("shape", shape);
      item.Set("trainable", parameter.trainable);
      item.Set("decay", parameter.decay);
      array.Set(index++, item);
    }
    return array;
  });
}

Napi::Value Session::memory(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const MemoryFigures figures = core_->current_figures();
  const Napi::Object object = Napi::Object::New(env);
  const auto set = [&](const char* name, size_t bytes) { object.Set(name, static_cast<double>(bytes)); };
  set("parameters", figures.parameters);
  set("gradients", figures.gradients);
  set("optimizer", figures.optimizer);
  set("activations", figures.activations);
  set("datasets", figures.datasets);
  set("adapters", figures.adapters);
  set("workspace", figures.workspace);
  set("device", figures.device);
  set("total", figures.total());
  set("peak", figures.peak);
  return object;
}

Napi::Value Session::read(const Napi::CallbackInfo& info) {
  return translate_errors(info.Env(), [&]() -> Napi::Value {
    const std::string name = convert_name(info[0]);
    const std::string part = convert_part(info[1], true);
    if (disposed_) refuse_disposed();
    const Parameter* parameter = &core_->classifier->parameters().at(name, variant_);
    const Napi::TypedArray array =
        make_float_array(info.Env(), static_cast<size_t>(parameter->count), core_->host_dtype());
    return submit_to_array(info, array, [=, out = data_of(array)](SessionCore& core) {
      if (part == "value") {
        core.backend->read_weight(out, core.host_dtype(), parameter->weight, parameter->master, parameter->count);
      } else if (!parameter->trainable) {
        throw Error("NOT_FOUND", "Expected " + name + " to have a " + part + " but it does not train");
      } else if (part == "gradient") {
        read_gradient(*core.backend, *parameter, core.host_dtype(), out);
      } else {
        core.backend->read_acc(out, core.host_dtype(), part == "m" ? parameter->m : parameter->v, parameter->count);
      }
    });
  });
}

Napi::Value Session::write(const Napi::CallbackInfo& info) {
  return translate_errors(info.Env(), [&]() -> Napi::Value {
    const std::string name = convert_name(info[0]);
    const std::string part = convert_part(info[1], false);
    const Dtype dtype = convert_dtype(info[2]);
    const JobBytes bytes = job_bytes(info[3], to_flag(info[4], "owned"));
    auto odd = std::make_shared<int64_t>(-1);
    return submit(
        info,
        [=, variant = variant_](SessionCore& core) {
          const auto& [copy, data, size] = bytes;
          Parameter& parameter = core.classifier->parameters().at(name, variant);
          if (size != parameter.count * dtype_size(dtype)) {
            throw Error("SHAPE_MISMATCH", "Expected " + std::to_string(parameter.count * dtype_size(dtype)) +
                                              " bytes for " + name + " but received " + std::to_string(size));
          }
          *odd = first_not_finite(data, dtype, parameter.count);
          if (part == "value") {
            core.backend->write_weight(parameter.weight, parameter.master, data, dtype, parameter.count);
            core.classifier->weights_changed();
            return;
          }
          Acc* moment = part == "m" ? parameter.m : part == "v" ? parameter.v : nullptr;
          if (!moment) throw Error("NOT_FOUND", "Expected " + name + " to have a " + part + " but it does not train");
          core.backend->write_acc(moment, data, dtype, parameter.count);
        },
        [odd](Napi::Env env) { return Napi::Number::New(env, static_cast<double>(*odd)); }, {info[3]});
  });
}

Napi::Value Session::initialize(const Napi::CallbackInfo& info) {
  return translate_errors(info.Env(), [&]() -> Napi::Value {
    const std::string name = convert_name(info[0]);
    const Napi::Object initializer = get_object(info[1], "initializer");
    const std::string kind = get_string(initializer, "distribution");
    const double scale = get_number(initializer, "scale");
    const uint64_t seed = static_cast<uint64_t>(get_integer(initializer, "seed", 0, (1LL << 53) - 1));
    if (kind != "normal" && kind != "uniform" && kind != "constant" && kind != "row_norms") {
      refuse_field("'normal', 'uniform', 'constant' or 'row_norms'", "distribution");
    }
    const Distribution distribution = kind == "normal"    ? Distribution::kNormal
                                      : kind == "uniform" ? Distribution::kUniform
                                                          : Distribution::kConstant;
    return submit(
        info,
        [=, variant = variant_](SessionCore& core) {
          Parameter& parameter = core.classifier->parameters().at(name, variant);
          if (kind == "row_norms") {
            core.classifier->initialize_magnitude(parameter);
          } else {
            const std::vector<float> values = initial_values(name, parameter.count, distribution, scale, seed);
            core.backend->write_weight(parameter.weight, parameter.master, values.data(), Dtype::kF32, parameter.count);
          }
          core.classifier->weights_changed();
        },
        nullptr);
  });
}

Napi::Value Session::add_dataset(const Napi::CallbackInfo& info) {
  return translate_errors(info.Env(), [&]() -> Napi::Value {
    auto arrays = std::make_shared<DatasetArrays>(convert_dataset(info[0], core_->config.model.NC));
    auto handle = std::make_shared<int32_t>(0);
    return submit(
        info,
        [=](SessionCore& core) {
          auto dataset = std::make_unique<Dataset>(*core.backend, core.config.model, core.classifier->longest_filler());
          dataset->assign(arrays->view());
          *handle = core.next_dataset++;
          core.datasets[*handle] = std::move(dataset);
          core.update_figures();
        },
        [handle](Napi::Env env) { return Napi::Number::New(env, *handle); });
  });
}

Napi::Value Session::remove_dataset(const Napi::CallbackInfo& info) {
  return translate_errors(info.Env(), [&]() -> Napi::Value {
    const int32_t handle = to_handle(info[0], "handle");
    return submit(
        info,
        [=](SessionCore& core) {
          core.dataset(handle);
          core.backend->synchronize();  // what is under way may read it
          core.datasets.erase(handle);
          core.update_figures();
        },
        nullptr);
  });
}

Napi::Value Session::add_adapter(const Napi::CallbackInfo& info) {
  return translate_errors(info.Env(), [&]() -> Napi::Value {
    auto config = std::make_shared<AdapterConfig>(convert_adapter(info[0]));
    HeldBytes held;
    auto tensors = std::make_shared<AdapterTensors>(convert_adapter_tensors(info[1], to_flag(info[2], "owned"), held));
    auto handle = std::make_shared<int32_t>(0);
    return submit(
        info,
        [=, copies = std::move(held.copies)](SessionCore& core) {
          *handle = core.classifier->adapters().add(*config, *tensors);
          core.update_figures();
        },
        [handle](Napi::Env env) { return Napi::Number::New(env, *handle); }, std::move(held.values));
  });
}

Napi::Value Session::remove_adapter(const Napi::CallbackInfo& info) {
  return translate_errors(info.Env(), [&]() -> Napi::Value {
    const int32_t handle = to_handle(info[0], "handle");
    return submit(
        info,
        [=](SessionCore& core) {
          core.classifier->adapters().remove(handle);
          core.update_figures();
        },
        nullptr);
  });
}

Napi::Value Session::reserve(const Napi::CallbackInfo& info) {
  return translate_errors(info.Env(), [&]() -> Napi::Value {
    const BatchLimits limits = convert_limits(info[0]);
    const bool training = get_bool(info[0].As<Napi::Object>(), "training");
    return submit(
        info,
        [=](SessionCore& core) {
          core.classifier->reserve(training ? limits : BatchLimits{}, training ? BatchLimits{} : limits);
          core.update_figures();
        },
        nullptr);
  });
}

Napi::Value Session::train(const Napi::CallbackInfo& info) {
  return submit_train(info, [](Napi::Env env, const std::vector<TrainOutcome>& outcomes) -> Napi::Value {
    return to_object(env, outcomes.front());
  });
}

Napi::Value Session::train_together(const Napi::CallbackInfo& info) {
  return submit_train(info, [](Napi::Env env, const std::vector<TrainOutcome>& outcomes) -> Napi::Value {
    const Napi::Array results = Napi::Array::New(env, outcomes.size());
    for (uint32_t i = 0; i < outcomes.size(); ++i) results.Set(i, to_object(env, outcomes[i]));
    return results;
  });
}

Napi::Value Session::submit_train(const Napi::CallbackInfo& info, Results results) {
  return translate_errors(info.Env(), [&]() -> Napi::Value {
    auto plan = std::make_shared<TrainPlan>(convert_plan(info[0], core_->config));
    auto outcomes = std::make_shared<std::vector<TrainOutcome>>();
    return submit(
        info, [plan, outcomes, proceed = may_proceed()](SessionCore& core) { *outcomes = core.train(*plan, proceed); },
        [outcomes, results](Napi::Env env) { return results(env, *outcomes); });
  });
}

Napi::Value Session::select(const Napi::CallbackInfo& info) {
  return translate_errors(info.Env(), [&]() -> Napi::Value {
    const int variant = to_handle(info[0], "variant");
    if (variant < 0 || variant >= static_cast<int>(core_->config.loras.size())) {
      refuse_field("a variant of the session", "variant");
    }
    variant_ = variant;
    return info.Env().Undefined();
  });
}

Napi::Value Session::gradients(const Napi::CallbackInfo& info) {
  return translate_errors(info.Env(), [&]() -> Napi::Value {
    auto plan = std::make_shared<TrainPlan>(convert_plan(info[0], core_->config));
    auto outcome = std::make_shared<GradientOutcome>();
    return submit(
        info, [plan, outcome](SessionCore& core) { *outcome = core.gradients(*plan); },
        [outcome](Napi::Env env) {
          const Napi::Object result = Napi::Object::New(env);
          result.Set("loss", outcome->loss);
          result.Set("gradNorm", outcome->grad_norm);
          result.Set("logits", to_float64_array(env, outcome->logits));
          return result;
        });
  });
}

Napi::Value Session::forward(const Napi::CallbackInfo& info) {
  return translate_errors(info.Env(), [&]() -> Napi::Value {
    const int32_t handle = to_handle(info[0], "dataset");
    auto order = std::make_shared<std::vector<int32_t>>(copy_ints(info[1], "order"));
    const auto starts = std::make_shared<std::vector<int32_t>>(convert_starts(info[2], order->size()));
    if (disposed_) refuse_disposed();
    const Napi::TypedArray array =
        make_float_array(info.Env(), order->size() * core_->config.model.NC, core_->host_dtype());
    return submit_to_array(info, array, [=, out = data_of(array), proceed = may_proceed()](SessionCore& core) {
      const Dataset& dataset = core.dataset(handle);
      dataset.check_order(order->data(), static_cast<int64_t>(order->size()));
      infer(*core.classifier, dataset, *order, *starts, nullptr, core.host_dtype(), out, proceed);
      core.update_figures();
    });
  });
}

Napi::Value Session::forward_mixed(const Napi::CallbackInfo& info) {
  return translate_errors(info.Env(), [&]() -> Napi::Value {
    const int32_t handle = to_handle(info[0], "dataset");
    auto order = std::make_shared<std::vector<int32_t>>(copy_ints(info[1], "order"));
    const auto starts = std::make_shared<std::vector<int32_t>>(convert_starts(info[2], order->size()));
    auto adapters = std::make_shared<std::vector<int32_t>>(copy_ints(info[3], "adapters"));
    if (adapters->size() != order->size()) refuse_field("one handle an example", "adapters");
    const Bytes bytes = make_bytes(0);
    return submit(
        info,
        [=, proceed = may_proceed()](SessionCore& core) {
          const Dataset& dataset = core.dataset(handle);
          dataset.check_order(order->data(), static_cast<int64_t>(order->size()));
          *bytes = core.forward_mixed(dataset, *order, *starts, *adapters, proceed);
          core.update_figures();
        },
        [bytes, dtype = core_->host_dtype()](Napi::Env env) { return to_float_array(env, *bytes, dtype); });
  });
}

Napi::Value Session::predict(const Napi::CallbackInfo& info) {
  return translate_errors(info.Env(), [&]() -> Napi::Value {
    auto arrays = std::make_shared<DatasetArrays>(convert_dataset(info[0], core_->config.model.NC));
    auto order = std::make_shared<std::vector<int32_t>>(copy_ints(info[1], "order"));
    const auto starts = std::make_shared<std::vector<int32_t>>(convert_starts(info[2], order->size()));
    if (disposed_) refuse_disposed();
    const Napi::TypedArray array =
        make_float_array(info.Env(), order->size() * core_->config.model.NC, core_->host_dtype());
    return submit_to_array(info, array, [=, out = data_of(array), proceed = may_proceed()](SessionCore& core) {
      core.predict(arrays->view(), *order, *starts, out, proceed);
      core.update_figures();
    });
  });
}

Napi::Value Session::recordings(const Napi::CallbackInfo& info) {
  return translate_errors(info.Env(), [&]() -> Napi::Value {
    auto counts = std::make_shared<RecordingCounts>();
    return submit(
        info, [counts](SessionCore& core) { *counts = core.backend->recordings(); },
        [counts](Napi::Env env) {
          const Napi::Object result = Napi::Object::New(env);
          result.Set("kept", static_cast<double>(counts->kept));
          result.Set("recorded", static_cast<double>(counts->recorded));
          result.Set("replayed", static_cast<double>(counts->replayed));
          result.Set("nodes", static_cast<double>(counts->nodes));
          result.Set("launched", static_cast<double>(counts->launched));
          return result;
        });
  });
}

Napi::Value Session::hidden_states(const Napi::CallbackInfo& info) {
  return translate_errors(info.Env(), [&]() -> Napi::Value {
    const int32_t handle = to_handle(info[0], "dataset");
    auto order = std::make_shared<std::vector<int32_t>>(copy_ints(info[1], "order"));
    const bool last_alone = to_flag(info[2], "lastAlone");
    auto states = std::make_shared<std::vector<std::vector<uint8_t>>>();
    return submit(
        info,
        [=](SessionCore& core) {
          Activations& activations = core.gather_for_inference(core.dataset(handle), *order);
          int left = core.config.model.L;
          core.classifier->hidden_states(activations, [&](const Real* hidden) {
            if (left-- > 0 && last_alone) return;
            core.backend->synchronize();
            const int64_t elements = static_cast<int64_t>(activations.live.T) * core.config.model.C;
            states->emplace_back(elements * core.host_size());
            core.backend->read_real(states->back().data(), core.host_dtype(), hidden, elements);
          });
        },
        [states, dtype = core_->host_dtype()](Napi::Env env) {
          const Napi::Array array = Napi::Array::New(env, states->size());
          for (uint32_t i = 0; i < states->size(); ++i) array.Set(i, to_float_array(env, (*states)[i], dtype));
          return array;
        });
  });
}

Napi::Value Session::prompt_embeddings(const Napi::CallbackInfo& info) {
  return translate_errors(info.Env(), [&]() -> Napi::Value {
    const Bytes bytes = make_bytes(0);
    return submit(
        info,
        [=](SessionCore& core) {
          const Real* prompt = core.classifier->prompt_embeddings();
          core.backend->synchronize();
          const int64_t elements = 2LL * core.classifier->prefix_tokens() * core.config.model.L * core.config.model.C;
          bytes->resize(elements * core.host_size());
          core.backend->read_real(bytes->data(), core.host_dtype(), prompt, elements);
          core.update_figures();
        },
        [bytes, dtype = core_->host_dtype()](Napi::Env env) { return to_float_array(env, *bytes, dtype); });
  });
}

Napi::Value Session::abort(const Napi::CallbackInfo& info) {
  ++core_->aborts;
  return info.Env().Undefined();
}

Napi::Value Session::dispose(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return translate_errors(env, [&]() -> Napi::Value {
    if (disposed_) return disposal_.Value();
    const Napi::Value promise = submit(
        info, [](SessionCore& core) { core.release(); },
        [this](Napi::Env job_env) {
          queue_->stop();
          return job_env.Undefined();
        });
    disposed_ = true;
    disposal_ = Napi::Reference<Napi::Value>::New(promise, 1);
    return promise;
  });
}

}  // namespace bertune
