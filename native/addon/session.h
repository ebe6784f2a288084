// A model on a device, as JavaScript sees it: NativeSession of lib/native/index.ts. Every method that does work runs on
// the session's own thread and returns a promise.
#pragma once

#include <napi.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "addon/job.h"
#include "addon/session_core.h"

namespace bertune {

class Session : public Napi::ObjectWrap<Session> {
 public:
  // Registers the class with the environment's state.
  static void define(Napi::Env env);
  // createSession(config): resolves to a Session once its memory is allocated.
  static Napi::Value create(const Napi::CallbackInfo& info);

  explicit Session(const Napi::CallbackInfo& info);
  void Finalize(Napi::Env env) override;

 private:
  using Work = std::function<void(SessionCore&)>;
  using Finish = std::function<Napi::Value(Napi::Env)>;

  Napi::Value parameters(const Napi::CallbackInfo& info);
  Napi::Value memory(const Napi::CallbackInfo& info);
  Napi::Value read(const Napi::CallbackInfo& info);
  Napi::Value write(const Napi::CallbackInfo& info);
  Napi::Value initialize(const Napi::CallbackInfo& info);
  Napi::Value add_dataset(const Napi::CallbackInfo& info);
  Napi::Value remove_dataset(const Napi::CallbackInfo& info);
  Napi::Value add_adapter(const Napi::CallbackInfo& info);
  Napi::Value remove_adapter(const Napi::CallbackInfo& info);
  Napi::Value reserve(const Napi::CallbackInfo& info);
  Napi::Value train(const Napi::CallbackInfo& info);
  Napi::Value train_together(const Napi::CallbackInfo& info);
  Napi::Value select(const Napi::CallbackInfo& info);
  Napi::Value gradients(const Napi::CallbackInfo& info);
  Napi::Value forward(const Napi::CallbackInfo& info);
  Napi::Value forward_mixed(const Napi::CallbackInfo& info);
  Napi::Value predict(const Napi::CallbackInfo& info);
  Napi::Value recordings(const Napi::CallbackInfo& info);
  Napi::Value hidden_states(const Napi::CallbackInfo& info);
  Napi::Value prompt_embeddings(const Napi::CallbackInfo& info);
  Napi::Value join_ranks(const Napi::CallbackInfo& info);
  Napi::Value all_reduce(const Napi::CallbackInfo& info);
  Napi::Value leave_ranks(const Napi::CallbackInfo& info);
  Napi::Value abort(const Napi::CallbackInfo& info);
  Napi::Value dispose(const Napi::CallbackInfo& info);

  using Results = std::function<Napi::Value(Napi::Env, const std::vector<TrainOutcome>&)>;
  // Trains by the plan that is the call's argument.
  Napi::Value submit_train(const Napi::CallbackInfo& info, Results results);

  // Submits work on the core, which keeps the session alive until it ends. Throws DISPOSED after dispose().
  Napi::Value submit(const Napi::CallbackInfo& info, Work work, Finish finish, std::vector<Napi::Value> held = {});
  // The same for work that fills an array, which the promise resolves to.
  Napi::Value submit_to_array(const Napi::CallbackInfo& info, const Napi::TypedArray& array, Work work);
  // A function that says whether the job being submitted may continue.
  std::function<bool()> may_proceed() const;
  void report_external_memory(Napi::Env env);

  std::shared_ptr<SessionCore> core_;
  std::unique_ptr<JobQueue> queue_;
  bool disposed_ = false;
  int variant_ = 0;                        // that calls are about
  Napi::Reference<Napi::Value> disposal_;  // dispose's promise
  int64_t reported_bytes_ = 0;
};

}  // namespace bertune
