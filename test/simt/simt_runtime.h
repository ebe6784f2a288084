// The part of the CUDA runtime API that the project uses, for the emulator. Host code includes "cuda/cuda_api.h", which
// picks this or <cuda_runtime.h>. The functions have C++ linkage in a namespace of their own, so that they cannot
// collide with a real libcudart in the same process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "simt_types.h"

struct CUstream_st;
struct CUevent_st;
struct CUgraph_st;
struct CUgraphExec_st;
struct CUgraphNode_st;
typedef CUstream_st* cudaStream_t;
typedef CUevent_st* cudaEvent_t;
typedef CUgraph_st* cudaGraph_t;
typedef CUgraphExec_st* cudaGraphExec_t;
typedef CUgraphNode_st* cudaGraphNode_t;

#define CUDART_VERSION 13000

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInvalidConfiguration = 9,
  cudaErrorInvalidDevicePointer = 17,
  cudaErrorInvalidMemcpyDirection = 21,
  cudaErrorInsufficientDriver = 35,
  cudaErrorNoDevice = 100,
  cudaErrorInvalidDevice = 101,
  cudaErrorInvalidResourceHandle = 400,
  cudaErrorNotReady = 600,
  cudaErrorIllegalAddress = 700,
  cudaErrorLaunchFailure = 719,
  cudaErrorNotSupported = 801,
  cudaErrorStreamCaptureUnsupported = 900,
  cudaErrorStreamCaptureInvalidated = 901,
  cudaErrorStreamCaptureMerge = 902,
  cudaErrorStreamCaptureUnmatched = 903,
  cudaErrorStreamCaptureUnjoined = 904,
  cudaErrorStreamCaptureIsolation = 905,
  cudaErrorStreamCaptureImplicit = 906,
  cudaErrorCapturedEvent = 907,
  cudaErrorStreamCaptureWrongThread = 908,
  cudaErrorUnknown = 999
};
enum cudaMemcpyKind {
  cudaMemcpyHostToHost,
  cudaMemcpyHostToDevice,
  cudaMemcpyDeviceToHost,
  cudaMemcpyDeviceToDevice,
  cudaMemcpyDefault
};
enum cudaDataType_t { CUDA_R_32F = 0, CUDA_R_16F = 2, CUDA_R_16BF = 14 };
enum cudaStreamCaptureMode {
  cudaStreamCaptureModeGlobal = 0,
  cudaStreamCaptureModeThreadLocal = 1,
  cudaStreamCaptureModeRelaxed = 2
};
enum cudaStreamCaptureStatus {
  cudaStreamCaptureStatusNone = 0,
  cudaStreamCaptureStatusActive = 1,
  cudaStreamCaptureStatusInvalidated = 2
};
enum : unsigned long long { cudaGraphInstantiateFlagUseNodePriority = 8 };
enum cudaDeviceAttr {
  cudaDevAttrMaxSharedMemoryPerBlock = 8,
  cudaDevAttrWarpSize = 10,
  cudaDevAttrMultiProcessorCount = 16,
  cudaDevAttrL2CacheSize = 38,
  cudaDevAttrComputeCapabilityMajor = 75,
  cudaDevAttrComputeCapabilityMinor = 76,
  cudaDevAttrMaxSharedMemoryPerBlockOptin = 97
};
enum cudaFuncAttribute {
  cudaFuncAttributeMaxDynamicSharedMemorySize = 8,
  cudaFuncAttributePreferredSharedMemoryCarveout = 9
};
enum : unsigned {
  cudaStreamDefault = 0,
  cudaStreamNonBlocking = 1,
  cudaEventDefault = 0,
  cudaEventBlockingSync = 1,
  cudaEventDisableTiming = 2,
  cudaHostAllocDefault = 0,
  cudaHostAllocPortable = 1,
  cudaHostAllocMapped = 2,
  cudaHostAllocWriteCombined = 4
};

struct cudaDeviceProp {
  char name[256];
  size_t totalGlobalMem;
  size_t sharedMemPerBlock;
  size_t sharedMemPerBlockOptin;
  int multiProcessorCount;
  int major, minor;
  int l2CacheSize;
  int warpSize;
  int maxThreadsPerBlock;
};
struct cudaFuncAttributes {
  size_t sharedSizeBytes, constSizeBytes, localSizeBytes;
  int maxThreadsPerBlock, numRegs, ptxVersion, binaryVersion, maxDynamicSharedSizeBytes;
};
typedef void (*cudaHostFn_t)(void* data);

inline namespace simt_cudart {

cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaGetDevice(int* device);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device);
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device);
cudaError_t cudaDriverGetVersion(int* version);
cudaError_t cudaRuntimeGetVersion(int* version);
cudaError_t cudaDeviceSynchronize();
cudaError_t cudaDeviceReset();

cudaError_t cudaMalloc(void** pointer, size_t bytes);
template <typename T>
inline cudaError_t cudaMalloc(T** pointer, size_t bytes) {
  return cudaMalloc(reinterpret_cast<void**>(pointer), bytes);
}
cudaError_t cudaFree(void* pointer);
cudaError_t cudaMallocHost(void** pointer, size_t bytes, unsigned flags = cudaHostAllocDefault);
template <typename T>
inline cudaError_t cudaMallocHost(T** pointer, size_t bytes, unsigned flags = cudaHostAllocDefault) {
  return cudaMallocHost(reinterpret_cast<void**>(pointer), bytes, flags);
}
cudaError_t cudaHostAlloc(void** pointer, size_t bytes, unsigned flags);
template <typename T>
inline cudaError_t cudaHostAlloc(T** pointer, size_t bytes, unsigned flags) {
  return cudaHostAlloc(reinterpret_cast<void**>(pointer), bytes, flags);
}
cudaError_t cudaFreeHost(void* pointer);
cudaError_t cudaMemGetInfo(size_t* free, size_t* total);
cudaError_t cudaMemcpy(void* out, const void* inp, size_t bytes, cudaMemcpyKind kind);
cudaError_t cudaMemcpyAsync(void* out, const void* inp, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream = nullptr);
cudaError_t cudaMemset(void* out, int value, size_t bytes);
cudaError_t cudaMemsetAsync(void* out, int value, size_t bytes, cudaStream_t stream = nullptr);

cudaError_t cudaStreamCreate(cudaStream_t* stream);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags);
// Priorities order nothing here: branches, below, does.
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int priority);
cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamQuery(cudaStream_t stream);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags = 0);
cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data);

cudaError_t cudaEventCreate(cudaEvent_t* event);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream = nullptr);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventQuery(cudaEvent_t event);
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end);

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph);
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long flags = 0);
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream);
cudaError_t cudaGraphUpload(cudaGraphExec_t executable, cudaStream_t stream);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable);
// Only the count is known here: `nodes` has to be null.
cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, size_t* count);

cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value);
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* function);

cudaError_t cudaGetLastError();
cudaError_t cudaPeekAtLastError();
// Of cudaErrorLaunchFailure: what the emulator found, with kernel, thread and source line.
const char* cudaGetErrorString(cudaError_t error);
const char* cudaGetErrorName(cudaError_t error);

}  // namespace simt_cudart

namespace simt {

// Settings. Those that name an environment variable take its value when a stream is created, if it changed since.
struct Config {
  uint64_t seed = 0;          // BERTUNE_EMULATED_SEED. 0: lanes and blocks in order, one block at a time
  int resident_blocks = 2;    // blocks that take turns, where seed is not 0
  bool strict = true;         // exited threads at barriers and different call sites of one collective are errors
  bool lazy_streams = false;  // BERTUNE_EMULATED_LAZY. Work runs only once something waits for it, in any allowed order
  // BERTUNE_EMULATED_LAZY=first or last: of work that may run now, that of other streams than the one that something
  // waits for, and in a graph than the one that began the recording, goes first, or last.
  enum class Branches { kAny, kFirst, kLast } branches = Branches::kAny;
  double preempt = 0;                     // race build: the chance of a switch to another thread at each memory access
  int devices = 1;                        // BERTUNE_EMULATED_DEVICES
  size_t memory_limit = size_t(4) << 30;  // BERTUNE_EMULATED_MEMORY, in bytes, of each
  long fail_allocation = -1;              // BERTUNE_EMULATED_FAIL_ALLOCATION: the n-th from now, counted from 0
  size_t shared_memory_per_block = 227 * 1024;  // what a launch may ask for
  std::string fail_graphs;                      // BERTUNE_EMULATED_FAIL_GRAPHS. The call of graphs that fails: capture,
                                                // end, instantiate or launch; overlap: the
                                                // third, where kernels of the graph overlap
  std::string list_graphs;                      // BERTUNE_EMULATED_LIST_GRAPHS. A file for the names of the nodes of
                                                // the graph that was instantiated last
  bool quiet = false;                           // failures are not printed to stderr
  std::function<void()> after_attribute;        // called once a function's attribute is set, as another thread might be
};
Config& config();

// Work on the host, in the order of the stream; recorded like a kernel where the stream is capturing. `name` is for
// reports.
cudaError_t host_task(cudaStream_t stream, std::function<void()> task, const char* name = "host task");
// Holds what comes after it in the stream until `is_ready`, which is asked whenever something waits for the stream. Not to be
// recorded.
cudaError_t wait_until(cudaStream_t stream, std::function<bool()> is_ready);
// For host tasks that touch device memory: fails the task, as an out-of-bounds access fails a kernel, where the range
// is not inside one live allocation. In the race build a range that is read has to be initialized, and one that is
// written counts as initialized from then on. Does not return to a task that failed.
void check_device_range(const void* pointer, size_t bytes, bool write);

// Time on the device passes only by this, in a task: that of kernels is not the GPU's. Events measure it.
void pass_time(double microseconds);
// Whether the calling thread has begun a recording that goes on.
bool this_thread_captures();

const char* last_report();  // of the last failure on the device, "" if there was none
void clear_report();        // and the error that sticks
const char* build_kind();   // "fast", "asan" or "race"

}  // namespace simt
