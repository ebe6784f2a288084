#include "stream.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "fault.h"
#include "graph.h"

namespace simt {
namespace {

std::vector<CUstream_st*>& streams() {
  static std::vector<CUstream_st*>& streams = *new std::vector<CUstream_st*>;
  return streams;
}

double device_time = 0;  // in microseconds

// Whether there was work that could be done.
bool run_next(CUstream_st* stream) {
  CUstream_st::Work& next = stream->queue.front();
  if (next.is_ready && !next.is_ready()) return false;
  const Task task = std::move(next.task);
  stream->queue.pop_front();
  task();
  return true;
}

CUstream_st* any_with_work() {
  std::vector<CUstream_st*> busy;
  for (CUstream_st* stream : streams()) {
    if (!stream->queue.empty() && (!stream->queue.front().is_ready || stream->queue.front().is_ready()))
      busy.push_back(stream);
  }
  return busy.empty() ? nullptr : busy[random_number() % busy.size()];
}

// Does what can be done now in streams other than this one.
void run_others(CUstream_st* stream) {
  for (size_t i = 0; i < streams().size(); ++i) {
    CUstream_st* other = streams()[i];
    while (other != stream && !other->queue.empty() && run_next(other)) {
    }
  }
}

// Whether `capture` forbids the calling thread what can not be recorded.
bool forbids(const Capture& capture) {
  if (capture.mode == cudaStreamCaptureModeGlobal) return true;
  return capture.mode == cudaStreamCaptureModeThreadLocal && capture.thread == std::this_thread::get_id();
}

}  // namespace

void pass_time(double microseconds) { device_time += microseconds; }

uint64_t random_number() {
  static uint64_t seed = 0, state = 0;
  if (state == 0 || seed != config().seed) {
    seed = config().seed;
    state = seed * 0x9E3779B97F4A7C15ull + 88172645463325252ull;
  }
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

void run_until(const Mark& mark) {
  while (!mark.done && run_next(mark.stream)) {
  }
}

void drain(CUstream_st* stream) {
  while (!stream->queue.empty()) {
    if (config().branches == Config::Branches::kFirst) run_others(stream);
    if (!stream->queue.empty() && !run_next(stream)) return;
  }
}

void drain_all() {
  while (CUstream_st* stream = any_with_work()) run_next(stream);
}

void run_any() {
  if (CUstream_st* stream = any_with_work()) run_next(stream);
}

cudaError_t refuse_while_capturing(cudaStream_t stream) {
  bool refused = false;
  for (Capture* capture : captures()) {
    if (!forbids(*capture) && !(stream && stream->capture == capture)) continue;
    invalidate(capture);
    refused = true;
  }
  return refused ? cudaErrorStreamCaptureUnsupported : cudaSuccess;
}

bool is_elsewhere(cudaStream_t stream) { return stream && stream->device != current_device(); }

cudaError_t enqueue(cudaStream_t stream, Task task, TaskName name) {
  const Lock lock(mutex());
  if (sticky_error() != cudaSuccess || fails_now(Fault::kCall)) return remember(sticky_error());
  if (!stream) {  // the legacy stream waits for all the others
    if (const cudaError_t error = refuse_while_capturing()) return remember(error);
    drain_all();
    task();
    return cudaSuccess;
  }
  if (stream->capture) {
    if (stream->capture->invalid) return remember(cudaErrorStreamCaptureInvalidated);
    record(stream, std::move(task), name);
    return cudaSuccess;
  }
  stream->queue.push_back({std::move(task), nullptr});
  if (!config().lazy_streams) drain(stream);
  return cudaSuccess;
}

cudaError_t wait_until(cudaStream_t stream, std::function<bool()> is_ready) {
  const Lock lock(mutex());
  if (!stream || stream->capture) return remember(cudaErrorNotSupported);
  if (is_elsewhere(stream)) return remember(cudaErrorInvalidResourceHandle);
  if (sticky_error() != cudaSuccess || fails_now(Fault::kCall)) return remember(sticky_error());
  stream->queue.push_back({[] {}, std::move(is_ready)});
  return cudaSuccess;
}

}  // namespace simt

inline namespace simt_cudart {
using namespace simt;

cudaError_t cudaStreamCreate(cudaStream_t* stream) { return cudaStreamCreateWithFlags(stream, cudaStreamDefault); }

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  const Lock lock(mutex());
  read_environment();
  *stream = new CUstream_st;
  (*stream)->device = current_device();
  streams().push_back(*stream);
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int) {
  return cudaStreamCreateWithFlags(stream, flags);
}

cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  *least = 0;
  *greatest = -5;
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const Lock lock(mutex());
  const auto found = std::find(streams().begin(), streams().end(), stream);
  if (found == streams().end()) return remember(cudaErrorInvalidResourceHandle);
  forget_stream(stream);
  drain(stream);
  streams().erase(found);
  delete stream;
  // Whoever comes next starts clean: a failed test does not fail those after it.
  if (streams().empty()) clear_sticky_error();
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  bool counts = true;
  for (;;) {
    {
      const Lock lock(mutex());
      if (const cudaError_t error = refuse_while_capturing(stream)) return remember(error);
      if (counts) fails_now(Fault::kCall);
      counts = false;
      stream ? drain(stream) : drain_all();
      if (!stream || stream->queue.empty()) return sticky_error();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  const Lock lock(mutex());
  if (const cudaError_t error = refuse_while_capturing(stream)) return remember(error);
  if (sticky_error() != cudaSuccess) return sticky_error();
  if (!stream || stream->queue.empty()) return cudaSuccess;
  run_any();
  return cudaErrorNotReady;
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
  return enqueue(stream, [=] { function(data); });
}

cudaError_t cudaDeviceSynchronize() {
  const Lock lock(mutex());
  if (const cudaError_t error = refuse_while_capturing()) return remember(error);
  drain_all();
  return sticky_error();
}

cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, cudaEventDefault); }

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  const Lock lock(mutex());
  if (fails_now(Fault::kCall)) return sticky_error();
  *event = new CUevent_st;
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  const Lock lock(mutex());
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const Lock lock(mutex());
  if (stream && stream->capture) return remember(record_event(stream, event));
  auto mark = std::make_shared<Mark>(Mark{stream});
  event->mark = mark;
  event->capture_id = 0;
  return enqueue(stream, [mark] {
    mark->time = device_time;
    mark->done = true;
  });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  const Lock lock(mutex());
  if (fails_now(Fault::kWait)) return cudaSuccess;
  if (stream && (stream->capture || is_captured(event))) return remember(wait_event(stream, event));
  if (!event->mark) return cudaSuccess;
  return enqueue(stream, [mark = event->mark] { run_until(*mark); });
}

namespace {

// Events of a recording stand for no work that is done or not.
cudaError_t refuse_captured(cudaEvent_t event) {
  if (!is_captured(event)) return refuse_while_capturing();
  if (Capture* capture = find_capture(event->capture_id)) invalidate(capture);
  return cudaErrorCapturedEvent;
}

}  // namespace

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  const Lock lock(mutex());
  if (const cudaError_t error = refuse_captured(event)) return remember(error);
  if (sticky_error() != cudaSuccess) return sticky_error();
  if (event->mark) run_until(*event->mark);
  return sticky_error();
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  const Lock lock(mutex());
  if (const cudaError_t error = refuse_captured(event)) return remember(error);
  if (sticky_error() != cudaSuccess) return sticky_error();
  if (!event->mark || event->mark->done) return cudaSuccess;
  run_any();
  return cudaErrorNotReady;
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  const Lock lock(mutex());
  if (!start->mark || !end->mark) return remember(cudaErrorInvalidResourceHandle);
  if (!start->mark->done || !end->mark->done) return cudaErrorNotReady;
  *milliseconds = static_cast<float>((end->mark->time - start->mark->time) / 1000);
  return cudaSuccess;
}

}  // namespace simt_cudart
