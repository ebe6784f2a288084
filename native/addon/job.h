// The one kind of job that returns a promise: work that runs on a session's own thread, in the order of the calls.
#pragma once

#include <napi.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "addon/errors.h"

namespace bertune {

// A job runs `work` on the session's thread, then `finish` on the JavaScript thread, which makes the value that the
// promise resolves to. An exception in either rejects the promise.
struct Job {
  std::function<void()> work;
  std::function<Napi::Value(Napi::Env)> finish;
  Napi::Promise::Deferred deferred;
  Napi::Reference<Napi::Value> origin;             // an Error made by the caller, for its stack
  std::vector<Napi::Reference<Napi::Value>> held;  // values that must live until the job ends
  std::optional<Failure> failure;
};

// A thread and its queue. It keeps the event loop alive only while jobs are under way.
class JobQueue {
 public:
  // `interrupt` asks the running job to end soon; it is called when the queue or the environment goes away.
  JobQueue(Napi::Env env, std::function<void()> interrupt);
  ~JobQueue();
  JobQueue(const JobQueue&) = delete;
  JobQueue& operator=(const JobQueue&) = delete;

  // On the JavaScript thread.
  Napi::Promise submit(Napi::Env env, std::function<void()> work, std::function<Napi::Value(Napi::Env)> finish,
                       const std::vector<Napi::Value>& held = {});

  // Interrupts the running job, drops the others and joins the thread. On the JavaScript thread; safe to call twice.
  void stop();

  // The same for the thread alone, on whichever thread the process ends.
  void end_thread();

  // Does so for all queues of the process, which is about to end.
  static void end_threads();
  // True from then on.
  static const std::atomic<bool>& process_ends();

 private:
  static void settle(Napi::Env env, Napi::Function, JobQueue* queue, Job* job);
  using Settle = Napi::TypedThreadSafeFunction<JobQueue, Job, settle>;

  void run();
  static void stop_at_exit(void* queue);

  napi_env env_;
  std::function<void()> interrupt_;
  int pending_ = 0;  // on the JavaScript thread: submitted and not settled
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::unique_ptr<Job>> jobs_;
  // Declared after all members whose construction may fail: if it is not released, it keeps the event loop alive forever.
  Settle settle_;
  bool stopping_ = false;
  bool hooked_ = false;  // whether stop_at_exit runs when the environment ends
  std::thread thread_;
};

}  // namespace bertune
