// Streams and events that are destroyed with their owners.
#pragma once

#include "cuda/check.h"
#include "cuda/simt.h"

namespace bertune::cuda {

class Stream {
 public:
  // Free multiprocessors go to work of the greatest priority first.
  enum class Priority { kLeast, kGreatest };

  explicit Stream(Priority priority) {
    int least = 0, greatest = 0;
    BERTUNE_CUDA(cudaDeviceGetStreamPriorityRange(&least, &greatest));
    BERTUNE_CUDA(
        cudaStreamCreateWithPriority(&stream_, cudaStreamNonBlocking, priority == Priority::kLeast ? least : greatest));
  }
  ~Stream() { cudaStreamDestroy(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  cudaStream_t get() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

// Orders work of streams.
class Event {
 public:
  // `flags`: those of cudaEventCreateWithFlags. By default it measures no time, which is quicker.
  explicit Event(unsigned flags = cudaEventDisableTiming) { BERTUNE_CUDA(cudaEventCreateWithFlags(&event_, flags)); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  cudaEvent_t get() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

}  // namespace bertune::cuda
