#include "addon/job.h"

#include <utility>

namespace bertune {

JobQueue::JobQueue(Napi::Env env, std::function<void()> interrupt)
    : env_(env), interrupt_(std::move(interrupt)), settle_(Settle::New(env, "bertune session", 0, 1, this)) {
  settle_.Unref(env);
  // Hooks run in reverse order, so the thread is joined and the thread-safe function let go of before it is torn down.
  napi_add_env_cleanup_hook(env_, stop_at_exit, this);
  thread_ = std::thread([this] { run(); });
}

JobQueue::~JobQueue() {
  if (!thread_.joinable()) return;  // the environment went first
  napi_remove_env_cleanup_hook(env_, stop_at_exit, this);
  stop();
}

void JobQueue::stop_at_exit(void* queue) { static_cast<JobQueue*>(queue)->stop(); }

void JobQueue::stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  interrupt_();
  wake_.notify_one();
  thread_.join();
  settle_.Abort();
}

Napi::Promise JobQueue::submit(Napi::Env env, std::function<void()> work, std::function<Napi::Value(Napi::Env)> finish,
                               const std::vector<Napi::Value>& held) {
  auto job = std::make_unique<Job>(
      Job{std::move(work), std::move(finish), Napi::Promise::Deferred::New(env), {}, {}, std::nullopt});
  job->origin = Napi::Reference<Napi::Value>::New(Napi::Error::New(env, "").Value(), 1);
  for (const Napi::Value& value : held) job->held.push_back(Napi::Reference<Napi::Value>::New(value, 1));
  const Napi::Promise promise = job->deferred.Promise();
  if (pending_++ == 0) settle_.Ref(env);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    jobs_.push_back(std::move(job));
  }
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

void JobQueue::settle(Napi::Env env, Napi::Function, JobQueue* queue, Job* raw) {
  const std::unique_ptr<Job> job(raw);
  if (!static_cast<napi_env>(env)) return;
  // The queue outlives its jobs: the session that owns it is held by each of them.
  if (--queue->pending_ == 0) queue->settle_.Unref(env);
  const Napi::HandleScope scope(env);
  if (!job->failure) {
    try {
      job->deferred.Resolve(job->finish ? job->finish(env) : env.Undefined());
      return;
    } catch (const Napi::Error& error) {
      job->deferred.Reject(error.Value());
      return;
    } catch (...) {
      job->failure = describe_current_exception();
    }
  }
  job->deferred.Reject(make_error(env, *job->failure, job->origin.Value()));
}

}  // namespace bertune
