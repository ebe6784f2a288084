// Streams: queues of work that is done at once, or (lazy_streams) when something waits for it.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "state.h"

namespace simt {

using Task = std::function<void()>;

// What a task is called in a list of a recording's nodes.
struct TaskName {
  const char* text = "host function";
  const void* kernel = nullptr;  // whose name it is, in place of the text
  bool overlaps = false;         // the kernel was launched to overlap the one ahead
};

struct Capture;

// A point in a stream that an event stands for.
struct Mark {
  CUstream_st* stream;
  bool done = false;
  double time = 0;  // of the device, in microseconds
};

cudaError_t enqueue(cudaStream_t stream, Task task, TaskName name = {});
// Whether it is a stream of another device than the calling thread's, where kernels are not launched.
bool is_elsewhere(cudaStream_t stream);

// These do what can be done now: work that waits for another process, and what is behind it, stays.
void run_until(const Mark& mark);
void drain(CUstream_st* stream);
void drain_all();
// A little progress, so that a loop that polls ends.
void run_any();

uint64_t random_number();

// For calls that a recording does not allow: fails, and invalidates the recordings that forbid it.
cudaError_t refuse_while_capturing(cudaStream_t stream = nullptr);

}  // namespace simt

struct CUstream_st {
  struct Work {
    simt::Task task;
    std::function<bool()> is_ready;  // null: at once
  };

  int device = 0;
  std::deque<Work> queue;
  simt::Capture* capture = nullptr;
  std::vector<int> tail;  // the nodes of the recording that the next one comes after
};

struct CUevent_st {
  std::shared_ptr<simt::Mark> mark;  // null: never recorded
  simt::Capture* capture = nullptr;  // the recording in which it was recorded last
  uint64_t capture_id = 0;
  std::vector<int> nodes;
};
