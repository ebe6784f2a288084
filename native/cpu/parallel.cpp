#include "cpu/parallel.h"

#include <algorithm>
#include <string>
#include <system_error>

#include "core/error.h"

namespace bertune {
namespace {

// What a token of attention takes beside its products with each of the keys, in such products.
constexpr int64_t kWorkOfToken = 64;

// Polls before a thread sleeps.
constexpr int kSpins = 2000;

void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Returns once `value` is no longer `old`.
void wait_while(const std::atomic<uint32_t>& value, uint32_t old) {
  for (int spin = 0; spin < kSpins; ++spin) {
    if (value.load(std::memory_order_acquire) != old) return;
    pause();
  }
  value.wait(old, std::memory_order_acquire);
}

}  // namespace

Range even_split(int count, int parts, int part, int multiple) {
  const int64_t units = (static_cast<int64_t>(count) + multiple - 1) / multiple;
  const int64_t begin = units * part / parts * multiple;
  const int64_t end = units * (part + 1) / parts * multiple;
  return {static_cast<int>(std::min<int64_t>(begin, count)), static_cast<int>(std::min<int64_t>(end, count))};
}

Pool::Pool(int threads) : parts_(std::max(threads, 1)) {
  BERTUNE_CHECK(threads >= 1);
  workers_.reserve(threads - 1);
  try {
    for (int thread = 1; thread < threads; ++thread) {
      workers_.emplace_back([this, thread] { work_until_stopped(thread); });
    }
  } catch (const std::system_error&) {
    stop();
    throw Error("OUT_OF_MEMORY", "Expected to start " + std::to_string(threads) + " threads but the system refused");
  } catch (...) {
    stop();
    throw;
  }
}

Pool::~Pool() { stop(); }

void Pool::stop() {
  call_ = nullptr;
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

// Only one of the worker and the calling thread gets to do a generation's part.
bool Pool::claim(int thread, uint32_t generation) {
  std::atomic<uint32_t>& begun = parts_[thread].begun;
  uint32_t last = generation - 1;
  // Asked first: an exchange that fails would still take the cache line from a worker that is busy.
  return begun.load(std::memory_order_relaxed) == last &&
         begun.compare_exchange_strong(last, generation, std::memory_order_acq_rel);
}

void Pool::do_part(int thread, uint32_t generation) {
  Part& part = parts_[thread];
  try {
    call_(work_, thread);
  } catch (...) {
    part.error = std::current_exception();
  }
  part.done.store(generation, std::memory_order_release);
}

void Pool::dispatch(Call call, const void* work) {
  if (workers_.empty()) {
    call(work, 0);
    return;
  }
  call_ = call;
  work_ = work;
  const uint32_t generation = generation_.fetch_add(1, std::memory_order_release) + 1;
  generation_.notify_all();
  do_part(0, generation);
  for (int thread = 1; thread < threads(); ++thread) {
    if (claim(thread, generation)) do_part(thread, generation);
  }
  std::exception_ptr first;
  for (Part& part : parts_) {
    wait_while(part.done, generation - 1);
    if (!part.error) continue;
    if (!first) first = part.error;
    part.error = nullptr;
  }
  if (first) std::rethrow_exception(first);
}

void Pool::work_until_stopped(int thread) {
  for (uint32_t seen = 0;;) {
    wait_while(generation_, seen);
    seen = generation_.load(std::memory_order_acquire);
    // Between a claim and the end of its part nothing that dispatch wrote can change.
    if (claim(thread, seen)) {
      if (call_ == nullptr) return;
      do_part(thread, seen);
      parts_[thread].done.notify_one();
    }
  }
}

void Partition::assign(int B, const int32_t* cu_seqlens) {
  const int threads = static_cast<int>(sequences_.size());
  const int64_t T = cu_seqlens[B] - cu_seqlens[0];
  work_.assign(1, 0);
  for (int b = 0; b < B; ++b) {
    const int64_t length = cu_seqlens[b + 1] - cu_seqlens[b];
    work_.push_back(work_.back() + length * (length + kWorkOfToken));
  }
  int begin = 0;
  for (int thread = 0; thread < threads; ++thread) {
    // The sequence boundary nearest to this thread's even share of tokens.
    const int64_t target = cu_seqlens[0] + T * (thread + 1) / threads;
    const int32_t* after = std::lower_bound(cu_seqlens + begin, cu_seqlens + B, target);
    int end = static_cast<int>(after - cu_seqlens);
    if (end > begin && target - cu_seqlens[end - 1] < cu_seqlens[end] - target) --end;
    if (thread == threads - 1) end = B;
    sequences_[thread] = {begin, end};
    tokens_[thread] = {cu_seqlens[begin], cu_seqlens[end]};
    begin = end;
  }
}

int Partition::first_head(int NH, int thread) const {
  const int threads = static_cast<int>(sequences_.size());
  const int B = static_cast<int>(work_.size()) - 1;
  if (thread == threads) return B * NH;
  const int64_t target = work_.back() * NH / threads * thread;
  const int sequence = static_cast<int>(std::upper_bound(work_.begin(), work_.end(), target / NH) - work_.begin()) - 1;
  if (sequence >= B) return B * NH;
  const int64_t left = target - work_[sequence] * NH, each = work_[sequence + 1] - work_[sequence];
  return sequence * NH + static_cast<int>((left + each / 2) / each);
}

Range Partition::rows(Rows rows, int thread) const {
  const int threads = static_cast<int>(sequences_.size());
  return even_split(rows.count, threads, thread, multiple(rows.kind));
}

}  // namespace bertune
