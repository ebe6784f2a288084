// Holds the emulated runtime API to what CUDA does. Prints "<check> ok", or "<check> " and what was wrong.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "cuda/shared_memory.h"
#include "cuda/simt.h"
#include "sanitizers.h"

extern "C" long bertune_emulated_fault(int kind, long n);

namespace {

constexpr int kCount = 64;
constexpr size_t kBytes = kCount * sizeof(float);

void expect(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error(what);
}

void expect_status(cudaError_t found, cudaError_t expected, const std::string& what) {
  expect(found == expected, what + ": expected " + cudaGetErrorName(expected) + " but got " + cudaGetErrorName(found));
}

#define OK(call) expect_status(call, cudaSuccess, #call)
#define FAILS(call, error) expect_status(call, error, #call)

// (64) floats on the device.
struct Array {
  float* data = nullptr;

  explicit Array(float value = 0) {
    OK(cudaMalloc(&data, kBytes));
    set(value);
  }
  Array(const Array&) = delete;
  ~Array() { cudaFree(data); }

  void set(float value) {
    const std::vector<float> host(kCount, value);
    OK(cudaMemcpy(data, host.data(), kBytes, cudaMemcpyHostToDevice));
  }
  void expect_all(float value) const {
    std::vector<float> host(kCount);
    OK(cudaMemcpy(host.data(), data, kBytes, cudaMemcpyDeviceToHost));
    for (const float found : host) {
      expect(found == value, "expected " + std::to_string(value) + " but found " + std::to_string(found));
    }
  }
};

struct Stream {
  cudaStream_t handle;
  Stream() { OK(cudaStreamCreateWithFlags(&handle, cudaStreamNonBlocking)); }
  Stream(const Stream&) = delete;
  ~Stream() { cudaStreamDestroy(handle); }
};

struct Event {
  cudaEvent_t handle;
  Event() { OK(cudaEventCreateWithFlags(&handle, cudaEventDisableTiming)); }
  Event(const Event&) = delete;
  ~Event() { cudaEventDestroy(handle); }
};

// A graph that can be launched.
struct Graph {
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;

  // Ends the recording of the stream.
  explicit Graph(const Stream& stream) {
    OK(cudaStreamEndCapture(stream.handle, &graph));
    OK(cudaGraphInstantiate(&executable, graph));
  }
  Graph(const Graph&) = delete;
  ~Graph() {
    cudaGraphExecDestroy(executable);
    cudaGraphDestroy(graph);
  }
  size_t nodes() const {
    size_t count = 0;
    OK(cudaGraphGetNodes(graph, nullptr, &count));
    return count;
  }
};

__global__ void add(float* out, float value) { out[threadIdx.x] += value; }
__global__ void add_array(float* out, const float* inp) { out[threadIdx.x] += inp[threadIdx.x]; }
__global__ void lose_a_lane(float* out) {
  if (threadIdx.x != 3) out[0] = __shfl_sync(0xffffffffu, 1.f, 0);
}

void launch_add(const Stream& stream, float* out, float value) {
  OK(simt::launch(&add, 1, kCount, 0, stream.handle, out, value));
}

void begin_capture(const Stream& stream) {
  OK(cudaStreamBeginCapture(stream.handle, cudaStreamCaptureModeThreadLocal));
}

// ---- graphs ----

void graph_keeps_arguments_and_reads_memory() {
  Stream stream;
  Array out, inp(1);
  float value = 10;
  begin_capture(stream);
  launch_add(stream, out.data, value);
  OK(simt::launch(&add_array, 1, kCount, 0, stream.handle, out.data, inp.data));
  const Graph graph(stream);
  value = 1000;       // the argument is that of the recording
  out.expect_all(0);  // nothing ran yet
  OK(cudaGraphLaunch(graph.executable, stream.handle));
  OK(cudaStreamSynchronize(stream.handle));
  out.expect_all(11);
  inp.set(5);  // memory is read when it runs
  OK(cudaGraphLaunch(graph.executable, stream.handle));
  OK(cudaStreamSynchronize(stream.handle));
  out.expect_all(26);
  expect(graph.nodes() == 2, "expected 2 nodes");
}

void graph_records_copies_and_host_tasks() {
  Stream stream;
  Array out(1), inp(2);
  int runs = 0;
  begin_capture(stream);
  OK(cudaMemsetAsync(out.data, 0, kBytes, stream.handle));
  OK(cudaMemcpyAsync(out.data, inp.data, kBytes / 2, cudaMemcpyDefault, stream.handle));
  OK(cudaMemcpyAsync(out.data + kCount / 2, inp.data, kBytes / 2, cudaMemcpyDeviceToDevice, stream.handle));
  OK(simt::host_task(stream.handle, [&] { ++runs; }));
  const Graph graph(stream);
  out.expect_all(1);
  expect(runs == 0, "the host task ran while it was recorded");
  for (int i = 0; i < 3; ++i) OK(cudaGraphLaunch(graph.executable, stream.handle));
  out.expect_all(2);
  expect(runs == 3, "the host task did not run once a replay");
}

void graph_forks_and_joins() {
  for (uint64_t order = 0; order < 8; ++order) {
    Stream first, second;
    Event fork, join;
    Array out, partial;
    begin_capture(first);
    launch_add(first, partial.data, 1);
    OK(cudaEventRecord(fork.handle, first.handle));
    OK(cudaStreamWaitEvent(second.handle, fork.handle));
    OK(simt::launch(&add_array, 1, kCount, 0, second.handle, out.data, partial.data));
    OK(cudaEventRecord(join.handle, second.handle));
    OK(cudaStreamWaitEvent(first.handle, join.handle));
    launch_add(first, partial.data, 100);
    const Graph graph(first);
    expect(graph.nodes() == 3, "expected 3 nodes");
    simt::config().lazy_streams = true;
    OK(cudaGraphLaunch(graph.executable, first.handle));
    OK(cudaStreamSynchronize(first.handle));
    simt::config().lazy_streams = false;
    out.expect_all(1);
    partial.expect_all(101);
  }
}

// Two branches that both write: some replay shows it.
void graph_runs_branches_in_any_order() {
  bool differs = false;
  for (int replay = 0; replay < 64 && !differs; ++replay) {
    Stream first, second;
    Event fork, join;
    std::string order;
    begin_capture(first);
    OK(cudaEventRecord(fork.handle, first.handle));
    OK(cudaStreamWaitEvent(second.handle, fork.handle));
    OK(simt::host_task(first.handle, [&] { order += "a"; }));
    OK(simt::host_task(second.handle, [&] { order += "b"; }));
    OK(cudaEventRecord(join.handle, second.handle));
    OK(cudaStreamWaitEvent(first.handle, join.handle));
    const Graph graph(first);
    simt::config().lazy_streams = true;
    OK(cudaGraphLaunch(graph.executable, first.handle));
    OK(cudaStreamSynchronize(first.handle));
    simt::config().lazy_streams = false;
    differs = order == "ba";
  }
  expect(differs, "64 replays ran two branches in the same order");
}

// What is written to `order` by a stream ("ac") and a branch of it ("b", after a) that is joined at the end.
std::string order_of_branch(bool recorded, simt::Config::Branches branches) {
  simt::config().lazy_streams = true;
  simt::config().branches = branches;
  std::string order;
  {
    Stream first, second;
    Event fork, join;
    if (recorded) begin_capture(first);
    OK(simt::host_task(first.handle, [&] { order += "a"; }));
    OK(cudaEventRecord(fork.handle, first.handle));
    OK(cudaStreamWaitEvent(second.handle, fork.handle));
    OK(simt::host_task(second.handle, [&] { order += "b"; }));
    OK(simt::host_task(first.handle, [&] { order += "c"; }));
    OK(cudaEventRecord(join.handle, second.handle));
    OK(cudaStreamWaitEvent(first.handle, join.handle));
    if (recorded) {
      const Graph graph(first);
      OK(cudaGraphLaunch(graph.executable, first.handle));
    }
    OK(cudaStreamSynchronize(first.handle));
  }
  simt::config().lazy_streams = false;
  simt::config().branches = simt::Config::Branches::kAny;
  return order;
}

void branches_go_first_or_last() {
  using Branches = simt::Config::Branches;
  for (const bool recorded : {true, false}) {
    expect(order_of_branch(recorded, Branches::kFirst) == "abc", "a branch did not go as early as it may");
    expect(order_of_branch(recorded, Branches::kLast) == "acb", "a branch did not go as late as it may");
  }
}

void nth_wait_is_left_out() {
  using Branches = simt::Config::Branches;
  constexpr int kWait = 4;
  bertune_emulated_fault(kWait, 1);
  expect(order_of_branch(false, Branches::kFirst) == "bac", "the first wait was not left out");
  expect(bertune_emulated_fault(kWait, 0) == 2, "expected two waits");
}

void graph_with_an_open_branch_is_refused() {
  Stream first, second;
  Event fork;
  Array out;
  begin_capture(first);
  OK(cudaEventRecord(fork.handle, first.handle));
  OK(cudaStreamWaitEvent(second.handle, fork.handle));
  launch_add(second, out.data, 1);
  cudaGraph_t graph;
  FAILS(cudaStreamEndCapture(first.handle, &graph), cudaErrorStreamCaptureUnjoined);
}

template <typename Call>
void expect_refused(const char* what, Call call, cudaError_t expected = cudaErrorStreamCaptureUnsupported) {
  Stream stream;
  begin_capture(stream);
  expect_status(call(stream.handle), expected, what);
  cudaStreamCaptureStatus status;
  OK(cudaStreamIsCapturing(stream.handle, &status));
  expect(status == cudaStreamCaptureStatusInvalidated, std::string(what) + " left the recording valid");
  cudaGraph_t graph;
  FAILS(cudaStreamEndCapture(stream.handle, &graph), cudaErrorStreamCaptureInvalidated);
  expect(graph == nullptr, "a graph of an invalid recording");
  OK(cudaStreamIsCapturing(stream.handle, &status));
  expect(status == cudaStreamCaptureStatusNone, "a recording that has ended goes on");
}

void recording_refuses_to_wait() {
  Array out;
  Event event;
  OK(cudaEventRecord(event.handle));
  float host[kCount];
  void* block = nullptr;
  expect_refused("cudaStreamSynchronize", [](cudaStream_t stream) { return cudaStreamSynchronize(stream); });
  expect_refused("cudaStreamQuery", [](cudaStream_t stream) { return cudaStreamQuery(stream); });
  expect_refused("cudaDeviceSynchronize", [](cudaStream_t) { return cudaDeviceSynchronize(); });
  expect_refused("cudaEventQuery", [&](cudaStream_t) { return cudaEventQuery(event.handle); });
  expect_refused("cudaEventSynchronize", [&](cudaStream_t) { return cudaEventSynchronize(event.handle); });
  expect_refused("cudaMalloc", [&](cudaStream_t) { return cudaMalloc(&block, 16); });
  expect_refused("cudaFree", [&](cudaStream_t) { return cudaFree(out.data); });
  expect_refused("cudaMemset", [&](cudaStream_t) { return cudaMemset(out.data, 0, kBytes); });
  expect_refused("cudaMemcpy",
                 [&](cudaStream_t) { return cudaMemcpy(host, out.data, kBytes, cudaMemcpyDeviceToHost); });
  const auto query_captured = [](cudaStream_t stream) {
    Event captured;
    OK(cudaEventRecord(captured.handle, stream));
    return cudaEventQuery(captured.handle);
  };
  expect_refused("cudaEventQuery of a recorded event", query_captured, cudaErrorCapturedEvent);
  out.expect_all(0);
  cudaGetLastError();
}

// In relaxed mode, where only what can never be recorded is refused.
void relaxed_recording_allows_other_calls() {
  Stream stream;
  Array out;
  OK(cudaStreamBeginCapture(stream.handle, cudaStreamCaptureModeRelaxed));
  void* block = nullptr;
  OK(cudaMalloc(&block, 16));
  OK(cudaFree(block));
  OK(cudaDeviceSynchronize());
  launch_add(stream, out.data, 1);
  FAILS(cudaStreamSynchronize(stream.handle), cudaErrorStreamCaptureUnsupported);
  FAILS(simt::launch(&add, 1, kCount, 0, stream.handle, out.data, 1.f), cudaErrorStreamCaptureInvalidated);
  cudaGraph_t graph;
  FAILS(cudaStreamEndCapture(stream.handle, &graph), cudaErrorStreamCaptureInvalidated);
  out.expect_all(0);
  cudaGetLastError();
}

void recording_leaves_other_threads_alone() {
  Stream stream;
  begin_capture(stream);
  std::thread([] { Array(1).expect_all(1); }).join();
  cudaStreamCaptureStatus status;
  OK(cudaStreamIsCapturing(stream.handle, &status));
  expect(status == cudaStreamCaptureStatusActive, "another thread's call ended the recording");
  Graph graph(stream);
}

void graph_may_be_destroyed_while_it_waits() {
  simt::config().lazy_streams = true;
  Stream stream;
  Array out;
  {
    begin_capture(stream);
    launch_add(stream, out.data, 1);
    const Graph graph(stream);
    OK(cudaGraphLaunch(graph.executable, stream.handle));
  }
  OK(cudaStreamSynchronize(stream.handle));
  simt::config().lazy_streams = false;
  out.expect_all(1);
}

// ---- streams and events ----

void lazy_streams_wait() {
  simt::config().lazy_streams = true;
  Stream stream;
  Event event;
  int runs = 0;
  OK(simt::host_task(stream.handle, [&] { ++runs; }));
  OK(cudaEventRecord(event.handle, stream.handle));
  OK(simt::host_task(stream.handle, [&] { ++runs; }));
  expect(runs == 0, "work ran before anything waited for it");
  OK(cudaEventSynchronize(event.handle));
  expect(runs == 1, "waiting for an event runs what comes before it, and no more");
  FAILS(cudaStreamQuery(stream.handle), cudaErrorNotReady);  // and makes progress
  OK(cudaStreamQuery(stream.handle));
  simt::config().lazy_streams = false;
  expect(runs == 2, "a stream that was waited for has done its work");
}

void events_measure_time() {
  Stream stream;
  cudaEvent_t start, end;
  OK(cudaEventCreate(&start));
  OK(cudaEventCreate(&end));
  OK(cudaEventRecord(start, stream.handle));
  OK(simt::host_task(stream.handle, [] { simt::pass_time(5000); }));
  OK(cudaEventRecord(end, stream.handle));
  OK(cudaEventQuery(end));
  float milliseconds = 0;
  OK(cudaEventElapsedTime(&milliseconds, start, end));
  expect(milliseconds == 5, "5 ms were " + std::to_string(milliseconds));
  OK(cudaEventDestroy(start));
  OK(cudaEventDestroy(end));
}

void threads_take_turns() {
  std::vector<std::thread> threads;
  std::vector<std::string> failures(4);
  for (size_t t = 0; t < failures.size(); ++t) {
    threads.emplace_back([&failures, t] {
      try {
        Stream stream;
        Array out;
        for (int i = 0; i < 50; ++i) launch_add(stream, out.data, 1);
        OK(cudaStreamSynchronize(stream.handle));
        out.expect_all(50);
      } catch (const std::exception& error) {
        failures[t] = error.what();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& failure : failures) expect(failure.empty(), failure);
}

// ---- memory ----

size_t free_bytes() {
  size_t free = 0, total = 0;
  OK(cudaMemGetInfo(&free, &total));
  return free;
}

void memory_has_a_limit() {
  const size_t standard = simt::config().memory_limit;
  simt::config().memory_limit = standard - free_bytes() + 4000;  // 4000 bytes are free
  void *first = nullptr, *second = nullptr;
  OK(cudaMalloc(&first, 3000));
  FAILS(cudaMalloc(&second, 1001), cudaErrorMemoryAllocation);
  expect(second == nullptr, "a block that there was no room for");
  FAILS(cudaGetLastError(), cudaErrorMemoryAllocation);
  OK(cudaMalloc(&second, 1000));
  expect(free_bytes() == 0, "free bytes");
  OK(cudaFree(first));
  OK(cudaFree(second));
  expect(free_bytes() == 4000, "freed bytes");
  simt::config().memory_limit = standard;
}

void nth_allocation_fails() {
  void* block = nullptr;
  simt::config().fail_allocation = 2;
  for (int i = 0; i < 2; ++i) {
    OK(cudaMalloc(&block, 16));
    OK(cudaFree(block));
  }
  FAILS(cudaMalloc(&block, 16), cudaErrorMemoryAllocation);
  OK(cudaMalloc(&block, 16));
  OK(cudaFree(block));
  cudaGetLastError();
}

// More than there are addresses, in sizes that do not fit into each other's holes.
void freed_memory_is_used_again() {
  if (strcmp(simt::build_kind(), "asan") == 0) return;  // it leaves this to malloc
  std::vector<void*> blocks(8, nullptr);
  for (size_t i = 0; i < 64; ++i) {
    void*& block = blocks[i % blocks.size()];
    OK(cudaFree(block));
    OK(cudaMalloc(&block, (size_t(1) << 27) + i * 12345));
  }
  for (void* block : blocks) OK(cudaFree(block));
}

void new_memory_is_poisoned() {
  float* block = nullptr;
  OK(cudaMalloc(&block, kBytes));
  float host[kCount];
  OK(cudaMemcpy(host, block, kBytes, cudaMemcpyDeviceToHost));
  for (const float value : host) expect(std::isnan(value), "new memory is no NaN");
  OK(cudaFree(block));
  FAILS(cudaFree(block), cudaErrorInvalidValue);
  cudaGetLastError();
}

void copies_check_their_ranges() {
  Array out;
  float host[kCount + 1] = {};
  FAILS(cudaMemcpy(out.data, host, kBytes + 4, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  FAILS(cudaMemcpy(host, host, 4, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  FAILS(cudaMemset(out.data + 1, 0, kBytes), cudaErrorInvalidValue);
  cudaGetLastError();
}

// ---- failures ----

template <typename Work>
void expect_failure_of_stream(const char* text, Work work) {
  {
    Stream stream;
    Array out;
    simt::config().quiet = true;
    work(stream, out);
    const cudaError_t status = cudaStreamSynchronize(stream.handle);
    simt::config().quiet = false;
    expect_status(status, cudaErrorLaunchFailure, "a failure");
    expect(strstr(cudaGetErrorString(status), text), std::string("the report is ") + cudaGetErrorString(status));
    void* block;
    FAILS(cudaMalloc(&block, 16), cudaErrorLaunchFailure);
  }
  Stream stream;  // the last stream took the error with it
  Array out;
  launch_add(stream, out.data, 1);
  out.expect_all(1);
}

void failures_last_as_long_as_streams() {
  expect_failure_of_stream("lose_a_lane", [](Stream& stream, Array& out) {
    OK(simt::launch(&lose_a_lane, 1, 32, 0, stream.handle, out.data));
  });
}

void host_tasks_check_their_ranges() {
  expect_failure_of_stream("OUT OF BOUNDS", [](Stream& stream, Array& out) {
    OK(simt::host_task(stream.handle, [&] { simt::check_device_range(out.data, kBytes + 1, true); }, "product"));
  });
  if (strcmp(simt::build_kind(), "race") != 0) return;
  expect_failure_of_stream("uninitialised", [](Stream& stream, Array&) {
    float* block;
    OK(cudaMalloc(&block, kBytes));
    OK(simt::host_task(stream.handle, [=] {
      simt::check_device_range(block, kBytes / 2, true);
      simt::check_device_range(block, kBytes / 2, false);
      simt::check_device_range(block, kBytes, false);
    }));
  });
}

void launches_check_their_sizes() {
  Stream stream;
  Array out;
  FAILS(simt::launch(&add, 0, kCount, 0, stream.handle, out.data, 1.f), cudaErrorInvalidConfiguration);
  FAILS(simt::launch(&add, 1, 1025, 0, stream.handle, out.data, 1.f), cudaErrorInvalidConfiguration);
  FAILS(simt::launch(&add, dim3(1, 65536), kCount, 0, stream.handle, out.data, 1.f), cudaErrorInvalidConfiguration);
  cudaGetLastError();
  out.expect_all(0);
}

// ---- limits of shared memory ----

constexpr size_t kLarge = 96 << 10, kSmaller = 56 << 10;  // both above what needs no asking

__global__ void add_with_static(float* out) {
  SHARED(values, float[1024]);
  values[threadIdx.x] = 1.f;
  out[threadIdx.x] += values[threadIdx.x];
}

cudaError_t set_limit(void (*kernel)(float*, float), size_t bytes) {
  return cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize,
                              static_cast<int>(bytes));
}

// For checks that share kernels.
void forget_limits() { OK(set_limit(&add, 48 << 10)); }

cudaError_t launch_with(const Stream& stream, const Array& out, size_t shared_bytes) {
  return simt::launch(&add, 1, kCount, shared_bytes, stream.handle, out.data, 1.f);
}

void kernels_have_limits_of_shared_memory() {
  Stream stream;
  Array out;
  OK(launch_with(stream, out, 48 << 10));
  FAILS(launch_with(stream, out, kLarge), cudaErrorInvalidValue);
  OK(set_limit(&add, kLarge));
  OK(launch_with(stream, out, kLarge));
  FAILS(launch_with(stream, out, kLarge + 1), cudaErrorInvalidValue);
  FAILS(simt::launch(&add_array, 1, kCount, kLarge, stream.handle, out.data, out.data), cudaErrorInvalidValue);
  OK(set_limit(&add, kSmaller));
  FAILS(launch_with(stream, out, kLarge), cudaErrorInvalidValue);
  FAILS(set_limit(&add, simt::config().shared_memory_per_block + 1), cudaErrorInvalidValue);
  cudaGetLastError();
  forget_limits();
  out.expect_all(2);
}

void static_shared_memory_counts() {
  expect_failure_of_stream("over the limit", [](Stream& stream, Array& out) {
    OK(simt::launch(&add_with_static, 1, kCount, 46 << 10, stream.handle, out.data));
  });
}

void launch_in_another_thread(const std::function<void()>& launch) {
  std::exception_ptr failure;
  std::thread([&] {
    try {
      launch();
    } catch (...) {
      failure = std::current_exception();
    }
  }).join();
  if (failure) std::rethrow_exception(failure);
}

// What another session does between a session's cudaFuncSetAttribute and the launch that it was for.
void interrupt_once(const std::function<void()>& other) {
  simt::config().after_attribute = [other] {
    simt::config().after_attribute = nullptr;
    launch_in_another_thread(other);
  };
}

void sessions_leave_each_other_their_shared_memory() {
  Stream first, second;
  Array out, other_out;
  // Limits as large as each launch, set before each: the second session lowers the first one's.
  const auto set_and_launch = [](const Stream& stream, const Array& to, size_t bytes) {
    OK(set_limit(&add, bytes));
    return launch_with(stream, to, bytes);
  };
  interrupt_once([&] { OK(set_and_launch(second, other_out, kSmaller)); });
  FAILS(set_and_launch(first, out, kLarge), cudaErrorInvalidValue);
  cudaGetLastError();
  forget_limits();

  // As native/cuda launches.
  bertune::cuda::SharedMemoryLimits limits, other_limits;
  const auto allow_and_launch = [](bertune::cuda::SharedMemoryLimits& allowed, const Stream& stream, const Array& to,
                                   size_t bytes) {
    allowed.allow(reinterpret_cast<const void*>(&add), bytes);
    OK(launch_with(stream, to, bytes));
  };
  interrupt_once([&] { allow_and_launch(other_limits, second, other_out, kSmaller); });
  allow_and_launch(limits, first, out, kLarge);
  expect(!simt::config().after_attribute, "no limit was raised");
  allow_and_launch(other_limits, second, other_out, kLarge);
  allow_and_launch(limits, first, out, kSmaller);
  OK(cudaStreamSynchronize(first.handle));
  OK(cudaStreamSynchronize(second.handle));
  out.expect_all(2);
  other_out.expect_all(3);
  forget_limits();
}

// ---- the device ----

void device_describes_itself() {
  cudaDeviceProp properties;
  OK(cudaGetDeviceProperties(&properties, 0));
  expect(strstr(properties.name, simt::build_kind()), "the name of the device");
  expect(properties.warpSize == 32 && properties.major == 9, "warpSize or major");
  int value = 0;
  OK(cudaDeviceGetAttribute(&value, cudaDevAttrMultiProcessorCount, 0));
  expect(value == properties.multiProcessorCount, "the number of multiprocessors");
  FAILS(cudaSetDevice(1), cudaErrorInvalidDevice);
  cudaGetLastError();
}

// D = A·B with A(i,k) = i + k and B(k,j) = k − j, by the layouts of the PTX manual.
__global__ void multiply(float* out) {
  DYN_SHARED(memory);
  auto* inp = memory.take<__nv_bfloat16>(16 * 16);    // (16,16)
  auto* weight = memory.take<__nv_bfloat16>(16 * 8);  // (16,8)
  const int lane = threadIdx.x;
  for (int i = lane; i < 256; i += 32) inp[i] = __float2bfloat16(i / 16 + i % 16);
  for (int i = lane; i < 128; i += 32) weight[i] = __float2bfloat16(i / 8 - i % 8);
  __syncwarp();
  uint32_t a[4], b[2];
  simt::ldmatrix_x4(a, inp + lane % 16 * 16 + lane / 16 * 8);
  simt::ldmatrix_x2_trans(b, weight + lane % 16 * 8);
  float c[4] = {};
  simt::mma_m16n8k16_bf16(c, a, b);
  for (int i = 0; i < 4; ++i) out[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = c[i];
}

void tensor_cores_multiply() {
  float* out;
  OK(cudaMalloc(&out, 128 * sizeof(float)));
  OK(simt::launch(&multiply, 1, 32, 1024, nullptr, out));
  float found[128];
  OK(cudaMemcpy(found, out, sizeof found, cudaMemcpyDeviceToHost));
  OK(cudaFree(out));
  for (int i = 0; i < 16; ++i) {
    for (int j = 0; j < 8; ++j) {
      float sum = 0;
      for (int k = 0; k < 16; ++k) sum += static_cast<float>((i + k) * (k - j));
      expect(found[i * 8 + j] == sum, "element (" + std::to_string(i) + "," + std::to_string(j) + ")");
    }
  }
}

// What a copy brings is NaN until it was waited for.
__global__ void look_while_copying(float* out, const float* inp) {
  DYN_SHARED(memory);
  float* shared = memory.take<float>(8);
  simt::cp_async16(shared, inp);
  simt::cp_async_commit();
  simt::cp_async16(shared + 4, inp, false);
  simt::cp_async_commit();
  simt::cp_async_wait<1>();
  out[0] = shared[0];
  simt::cp_async_wait<0>();
  out[1] = shared[4];
}

void async_copies_land_when_waited_for() {
  Array out(9), inp(7);
  OK(simt::launch(&look_while_copying, 1, 1, 64, nullptr, out.data, inp.data));
  float found[2];
  OK(cudaMemcpy(found, out.data, sizeof found, cudaMemcpyDeviceToHost));
  expect(found[0] == 7 && found[1] == 0, "what was copied");
}

struct Check {
  const char* name;
  void (*run)();
};
#define CHECK(name) {#name, name}
const Check kChecks[] = {
    CHECK(graph_keeps_arguments_and_reads_memory),
    CHECK(graph_records_copies_and_host_tasks),
    CHECK(graph_forks_and_joins),
    CHECK(graph_runs_branches_in_any_order),
    CHECK(branches_go_first_or_last),
    CHECK(nth_wait_is_left_out),
    CHECK(graph_with_an_open_branch_is_refused),
    CHECK(graph_may_be_destroyed_while_it_waits),
    CHECK(recording_refuses_to_wait),
    CHECK(relaxed_recording_allows_other_calls),
    CHECK(recording_leaves_other_threads_alone),
    CHECK(lazy_streams_wait),
    CHECK(events_measure_time),
    CHECK(threads_take_turns),
    CHECK(memory_has_a_limit),
    CHECK(nth_allocation_fails),
    CHECK(freed_memory_is_used_again),
    CHECK(new_memory_is_poisoned),
    CHECK(copies_check_their_ranges),
    CHECK(failures_last_as_long_as_streams),
    CHECK(host_tasks_check_their_ranges),
    CHECK(launches_check_their_sizes),
    CHECK(kernels_have_limits_of_shared_memory),
    CHECK(static_shared_memory_counts),
    CHECK(sessions_leave_each_other_their_shared_memory),
    CHECK(device_describes_itself),
    CHECK(tensor_cores_multiply),
    CHECK(async_copies_land_when_waited_for),
};

}  // namespace

int main() {
  for (const Check& check : kChecks) {
    std::string outcome = "ok";
    try {
      check.run();
    } catch (const std::exception& error) {
      outcome = error.what();
    }
    printf("%s %s\n", check.name, outcome.c_str());
    simt::clear_report();
  }
}
