// CUDA graphs: the work of a stream recorded, and replayed.
#pragma once

#include <cstdint>
#include <thread>
#include <vector>

#include "stream.h"

namespace simt {

struct Node {
  Task task;
  TaskName name;
  std::vector<int> after;  // earlier nodes
  bool branch = false;     // of another stream than the one that began
};

struct Capture {
  uint64_t id;
  CUstream_st* origin;
  cudaStreamCaptureMode mode;
  std::thread::id thread;
  bool invalid = false;
  std::vector<Node> nodes{};
  std::vector<CUstream_st*> streams{};  // origin, and those that joined it
};

void record(CUstream_st* stream, Task task, TaskName name);
void forget_stream(CUstream_st* stream);  // that is destroyed
cudaError_t record_event(CUstream_st* stream, CUevent_st* event);
cudaError_t wait_event(CUstream_st* stream, CUevent_st* event);
bool is_captured(const CUevent_st* event);
void invalidate(Capture* capture);
Capture* find_capture(uint64_t id);
const std::vector<Capture*>& captures();

}  // namespace simt
