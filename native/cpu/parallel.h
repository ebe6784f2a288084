// A small pool of threads, and how rows are shared out among them.
//
// A step runs hundreds of short operations, each of them one call of Pool::run. Workers therefore spin for some
// microseconds before they sleep: within a step they are awake when the next operation comes, and an idle session
// costs nothing. When the calling thread is done with its own part, it does the parts that no worker has begun, so that
// a worker whose core is busy with another process holds nobody up.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <thread>
#include <type_traits>
#include <vector>

#include "core/backend.h"

namespace bertune {

// [begin, end)
struct Range {
  int begin = 0;
  int end = 0;
  int size() const { return end - begin; }
  bool empty() const { return begin >= end; }
};

// Part `part` of `parts` of [0, count): sizes differ by at most `multiple`, and every part but the last non-empty one
// is a multiple of `multiple`.
Range even_split(int count, int parts, int part, int multiple = 1);

class Pool {
 public:
  // `threads` ≥ 1 includes the calling thread, which is worker 0.
  explicit Pool(int threads);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls work(thread) once for each thread in [0, threads()) and returns when all are done. An exception of a worker
  // is rethrown here; of several, the one of the lowest thread. Do not call it from within `work`.
  template <typename Work>
  void run(Work&& work) {
    using Callable = std::remove_reference_t<Work>;
    dispatch([](const void* callable, int thread) { (*static_cast<Callable*>(const_cast<void*>(callable)))(thread); },
             &work);
  }

 private:
  using Call = void (*)(const void* work, int thread);

  // One per thread, in a cache line of its own: the last generations whose parts were begun and done, and what the last
  // part threw.
  struct alignas(64) Part {
    std::atomic<uint32_t> begun{0};
    std::atomic<uint32_t> done{0};
    std::exception_ptr error;
  };

  // Ends the workers and waits for them.
  void stop();
  void dispatch(Call call, const void* work);
  void work_until_stopped(int thread);
  void do_part(int thread, uint32_t generation);
  bool claim(int thread, uint32_t generation);

  // Written by dispatch before `generation_` is raised, read after it; together in the cache line that workers watch.
  alignas(64) Call call_ = nullptr;  // null: stop
  const void* work_ = nullptr;
  std::atomic<uint32_t> generation_{0};
  alignas(64) std::vector<Part> parts_;
  std::vector<std::thread> workers_;
};

// How one batch is shared out: heads of sequences for attention, tokens for everything that works row by row.
class Partition {
 public:
  explicit Partition(int threads) : sequences_(threads), tokens_(threads) {}

  // Splits B sequences with starts cu_seqlens (B + 1). Whole sequences are split so that the threads' token counts are as
  // even as sequence boundaries allow, heads so that the threads' work is even.
  void assign(int B, const int32_t* cu_seqlens);

  // The sequences of a thread, and the range of their tokens.
  Range sequences(int thread) const { return sequences_[thread]; }
  Range tokens(int thread) const { return tokens_[thread]; }

  // The heads of a thread, with NH per sequence, numbered `sequence · NH + head`.
  Range heads(int NH, int thread) const { return {first_head(NH, thread), first_head(NH, thread + 1)}; }

  // The rows of a thread, for operations that work row by row. Tokens are split evenly, in fours, not at sequence
  // boundaries: each operation waits for its slowest thread, and splitting short batches at boundaries is some 5 % uneven.
  Range rows(Rows rows, int thread) const;
  static int multiple(RowKind kind) { return kind == RowKind::kTokens ? 4 : 1; }

 private:
  int first_head(int NH, int thread) const;

  std::vector<Range> sequences_;
  std::vector<Range> tokens_;
  std::vector<int64_t> work_ = {0};  // (B + 1) the work of one head in all sequences before
};

}  // namespace bertune
