#include "addon/job.h"

#include <cstdlib>
#include <set>
#include <system_error>
#include <utility>

namespace bertune {

namespace {

// The queues of this process. process.exit() runs no environment's cleanup hooks: it calls exit(), which then takes
// libraries apart (OpenBLAS gives its buffers back) under threads that still compute. Never destroyed itself.
class RunningQueues {
 public:
  static RunningQueues& instance() {
    static RunningQueues& queues = *new RunningQueues();
    return queues;
  }

  // `entry`: a queue, made before its thread, so that adding it cannot fail.
  void add(std::set<JobQueue*>& entry) noexcept {
    const std::lock_guard<std::mutex> lock(mutex_);
    queues_.merge(entry);
  }

  const std::atomic<bool>& process_ends() const { return process_ends_; }

  void end_threads() {
    process_ends_ = true;
    const std::lock_guard<std::mutex> lock(mutex_);
    for (JobQueue* queue : queues_) queue->end_thread();
  }

  // Whether the queue was in: who takes it out is the one to let go of it.
  bool take(JobQueue* queue) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return queues_.erase(queue) == 1;
  }

 private:
  // Where JavaScript's 'exit' was not emitted. Too late for what a library first makes in the middle of a job, oneDNN's
  // caches for one: exit() takes that apart before this runs.
  RunningQueues() {
    static_cast<void>(std::atexit([] { instance().end_threads(); }));
  }

  std::atomic<bool> process_ends_{false};
  std::mutex mutex_;
  std::set<JobQueue*> queues_;
};

}  // namespace

JobQueue::JobQueue(Napi::Env env, std::function<void()> interrupt)
    : env_(env), interrupt_(std::move(interrupt)), settle_(Settle::New(env, "bertune session", 0, 1, this)) {
  settle_.Unref(env);
  try {
    RunningQueues& running = RunningQueues::instance();
    std::set<JobQueue*> entry = {this};
    thread_ = std::thread([this] { run(); });
    running.add(entry);  // once the thread runs, nothing may fail
  } catch (const std::system_error&) {
    settle_.Abort();
    throw Error("OUT_OF_MEMORY", "Expected to start the thread of a session but the system refused");
  } catch (...) {
    settle_.Abort();
    throw;
  }
  // Hooks run in reverse order, so the thread is joined and the thread-safe function let go of before it is torn down.
  hooked_ = napi_add_env_cleanup_hook(env_, stop_at_exit, this) == napi_ok;
}

JobQueue::~JobQueue() { stop(); }

void JobQueue::stop_at_exit(void* argument) {
  auto* queue = static_cast<JobQueue*>(argument);
  queue->hooked_ = false;  // a hook that runs is no longer there to remove
  queue->stop();
}

void JobQueue::stop() {
  if (!RunningQueues::instance().take(this)) return;
  if (hooked_) napi_remove_env_cleanup_hook(env_, stop_at_exit, this);
  hooked_ = false;
  end_thread();
  settle_.Abort();
}

void JobQueue::end_thread() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  interrupt_();
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void JobQueue::end_threads() { RunningQueues::instance().end_threads(); }

const std::atomic<bool>& JobQueue::process_ends() { return RunningQueues::instance().process_ends(); }

Napi::Promise JobQueue::submit(Napi::Env env, std::function<void()> work, std::function<Napi::Value(Napi::Env)> finish,
                               const std::vector<Napi::Value>& held) {
  auto job = std::make_unique<Job>(
      Job{std::move(work), std::move(finish), Napi::Promise::Deferred::New(env), {}, {}, std::nullopt});
  job->origin = Napi::Reference<Napi::Value>::New(Napi::Error::New(env, "").Value(), 1);
  for (const Napi::Value& value : held) job->held.push_back(Napi::Reference<Napi::Value>::New(value, 1));
  const Napi::Promise promise = job->deferred.Promise();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  // After all that may fail: a job that is not in the queue must not keep the event loop alive.
  if (pending_++ == 0) settle_.Ref(env);
  wake_.notify_one();
  return promise;
}

void JobQueue::run() {
  for (;;) {
    std::unique_ptr<Job> job;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (stopping_) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    try {
      job->work();
    } catch (...) {
      job->failure = describe_current_exception();
    }
    job->work = nullptr;
    // Refused only while the environment is torn down: then nobody waits, and the job's references are let go of with
    // the environment.
    if (settle_.BlockingCall(job.get()) == napi_ok) {
      static_cast<void>(job.release());
    } else {
      const std::lock_guard<std::mutex> lock(mutex_);
      jobs_.push_front(std::move(job));
      return;
    }
  }
}

namespace {

void settle_promise(Napi::Env env, Job& job) {
  if (!job.failure) {
    Napi::Value value;
    try {
      value = job.finish ? job.finish(env) : env.Undefined();
    } catch (const Napi::Error& error) {
      return job.deferred.Reject(error.Value());
    } catch (...) {
      job.failure = describe_current_exception();
    }
    if (!job.failure) return job.deferred.Resolve(value);
  }
  job.deferred.Reject(make_error(env, *job.failure, job.origin.Value()));
}

}  // namespace

void JobQueue::settle(Napi::Env env, Napi::Function, JobQueue* queue, Job* raw) {
  const std::unique_ptr<Job> job(raw);
  if (!static_cast<napi_env>(env)) return;
  // The queue outlives its jobs: the session that owns it is held by each of them.
  if (--queue->pending_ == 0) queue->settle_.Unref(env);
  const Napi::HandleScope scope(env);
  try {
    try {
      settle_promise(env, *job);
    } catch (const Napi::Error& error) {
      job->deferred.Reject(error.Value());  // what the error factory threw
    }
  } catch (const Napi::Error&) {
    // The environment is being torn down and runs no JavaScript any more: nobody waits for the promise.
  }
}

}  // namespace bertune
