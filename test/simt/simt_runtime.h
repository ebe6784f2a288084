// The part of the CUDA runtime API that the project uses, for the emulator. C++ linkage in namespace
// simt_cudart (pulled in by using), so it can never collide with a real libcudart in the same process.
// Host-only code includes "cuda/cuda_api.h", which picks this or <cuda_runtime.h>.
#pragma once
#include <cstddef>
#include <cstdint>
#include "simt_types.h"
struct CUstream_st; struct CUevent_st;
typedef CUstream_st* cudaStream_t;
typedef CUevent_st* cudaEvent_t;
enum cudaError_t {
  cudaSuccess = 0, cudaErrorInvalidValue = 1, cudaErrorMemoryAllocation = 2, cudaErrorInvalidConfiguration = 9,
  cudaErrorInvalidDevicePointer = 17, cudaErrorNoDevice = 100, cudaErrorIllegalAddress = 700, cudaErrorLaunchFailure = 719
};
enum cudaMemcpyKind { cudaMemcpyHostToHost, cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice, cudaMemcpyDefault };
#define CUDART_VERSION 13000
enum cudaDataType_t { CUDA_R_32F = 0, CUDA_R_16F = 2, CUDA_R_16BF = 14 };
struct cudaDeviceProp { char name[256]; size_t totalGlobalMem; int multiProcessorCount, major, minor; size_t sharedMemPerBlockOptin; int warpSize; };
inline namespace simt_cudart {
cudaError_t cudaGetDeviceCount(int* n);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int dev);
cudaError_t cudaSetDevice(int dev);
cudaError_t cudaDriverGetVersion(int* v);
cudaError_t cudaMalloc(void** p, size_t n);
template <class T> inline cudaError_t cudaMalloc(T** p, size_t n) { return cudaMalloc(reinterpret_cast<void**>(p), n); }
cudaError_t cudaFree(void* p);
cudaError_t cudaMallocHost(void** p, size_t n);
cudaError_t cudaFreeHost(void* p);
cudaError_t cudaMemGetInfo(size_t* freeb, size_t* total);
cudaError_t cudaMemcpy(void* d, const void* s, size_t n, cudaMemcpyKind k);
cudaError_t cudaMemcpyAsync(void* d, const void* s, size_t n, cudaMemcpyKind k, cudaStream_t st = nullptr);
cudaError_t cudaMemset(void* d, int v, size_t n);
cudaError_t cudaMemsetAsync(void* d, int v, size_t n, cudaStream_t st = nullptr);
cudaError_t cudaStreamCreate(cudaStream_t* s);
cudaError_t cudaStreamDestroy(cudaStream_t s);
cudaError_t cudaStreamSynchronize(cudaStream_t s);
cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned flags = 0);
cudaError_t cudaEventCreate(cudaEvent_t* e);
cudaError_t cudaEventDestroy(cudaEvent_t e);
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s = nullptr);
cudaError_t cudaEventSynchronize(cudaEvent_t e);
cudaError_t cudaDeviceSynchronize();
cudaError_t cudaDeviceReset();
cudaError_t cudaGetLastError();
cudaError_t cudaPeekAtLastError();
const char* cudaGetErrorString(cudaError_t e);
const char* cudaGetErrorName(cudaError_t e);
}
namespace simt {
// ---- test controls ----
struct Config {
  uint64_t seed = 1;          // 0: in-order lanes and blocks
  int resident_blocks = 2;    // blocks interleaved at a time
  bool strict = true;         // exited threads at barriers, call-site mismatches are errors
  bool lazy_streams = false;  // async work runs only when something waits for it
  double preempt = 0;         // race build: probability of a switch at each memory access
  size_t mem_limit = size_t(8) << 30;
  long fail_alloc_at = -1;    // n-th cudaMalloc from now fails
  int sm_smem_optin = 227 * 1024;
  bool quiet = false;         // do not print failures
};
Config& config();
struct Stats { uint64_t threads = 0, switches = 0, collectives = 0, barriers = 0, mma = 0, blocks = 0, accesses = 0, launches = 0; };
Stats& stats();
const char* last_report();    // text of the last device-side failure ("" if none)
void clear_report();
const char* build_kind();     // "fast", "asan", "race"
}
