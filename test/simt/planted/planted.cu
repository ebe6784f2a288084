// Kernels with one planted bug each, and correct ones that look like them (ok_...). All compute out[t] = inp[255 - t],
// or a sum into out[0], so that a bug that is not reported may still show in the numbers.
//
//   planted_<build> <seed>   runs each in a child process and prints "<name> <what happened> <what was reported>":
//                            nothing, value (wrong numbers), report (by the emulator), crash (also by a sanitizer)
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "cuda/simt.h"
#include "sanitizers.h"

namespace {

constexpr unsigned kAll = 0xffffffffu;
constexpr int kThreads = 256;
constexpr int kBlocks = 8;

// ---- barriers ----

__global__ void ok_sync(float* out, const float* inp) {
  SHARED(shared, float[256]);
  int t = threadIdx.x;
  shared[t] = inp[t];
  __syncthreads();
  out[t] = shared[255 - t];
}

__global__ void missing_sync(float* out, const float* inp) {
  SHARED(shared, float[256]);
  int t = threadIdx.x;
  shared[t] = inp[t];
  out[t] = shared[255 - t];
}

// No barrier between a read and the next round's write.
__global__ void reuse_without_sync(float* out, const float* inp) {
  SHARED(shared, float[256]);
  int t = threadIdx.x;
  float value = 0;
  for (int round = 0; round < 2; ++round) {
    shared[t] = inp[t] + round;
    __syncthreads();
    value = shared[255 - t];
  }
  out[t] = value - 1;
}

__global__ void one_thread_skips_barrier(float* out, const float* inp) {
  int t = threadIdx.x;
  if (t != 77) __syncthreads();
  out[t] = inp[255 - t];
}

__global__ void return_before_barrier(float* out, const float* inp) {
  int t = threadIdx.x;
  if (t >= 250) return;
  __syncthreads();
  out[t] = inp[255 - t];
}

__global__ void divergent_barrier(float* out, const float* inp) {
  int t = threadIdx.x;
  out[t] = inp[255 - t];
  if (t < 128) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}

// ---- collectives of a warp ----

__device__ float sum_over(float value, unsigned mask) {
  for (int offset = 16; offset > 0; offset /= 2) value += __shfl_xor_sync(mask, value, offset);
  return value;
}

__global__ void shuffle_after_exit(float* out, const float* inp) {
  int t = threadIdx.x;
  if (t % 32 >= 20) return;
  out[t] = __shfl_down_sync(kAll, inp[t], 1);
}

__global__ void shuffle_in_a_branch(float* out, const float* inp) {
  int t = threadIdx.x;
  float value = inp[255 - t];
  if (t % 32 < 16) value += 0 * __shfl_xor_sync(kAll, value, 1);
  out[t] = value;
}

__global__ void shuffle_mask_too_short(float* out, const float* inp) {
  int t = threadIdx.x;
  out[t] = inp[255 - t] + sum_over(1.f, 0x0000ffffu) - 32;
}

__global__ void shuffle_masks_differ(float* out, const float* inp) {
  int t = threadIdx.x;
  float value = inp[255 - t];
  out[t] = value + 0 * __shfl_xor_sync(t % 2 ? kAll : 0x55555555u, value, 2);
}

__global__ void shuffle_reads_outside_mask(float* out, const float* inp) {
  int t = threadIdx.x;
  float value = inp[255 - t];
  if (t % 32 < 16) value += 0 * __shfl_down_sync(0xffffu, value, 1);
  out[t] = value;
}

__global__ void ok_shuffle_in_halves(float* out, const float* inp) {
  int t = threadIdx.x;
  float value = inp[255 - t];
  if (t % 32 < 16) {
    value += 0 * __shfl_xor_sync(0xffffu, value, 1);
  } else {
    value += 0 * __shfl_xor_sync(0xffff0000u, value, 4);
  }
  out[t] = value;
}

__global__ void ok_syncwarp(float* out, const float* inp) {
  SHARED(shared, float[256]);
  int t = threadIdx.x;
  shared[t] = inp[t];
  __syncwarp();
  out[t] = inp[255 - t] + 0 * shared[t ^ 1];
}

__global__ void missing_syncwarp(float* out, const float* inp) {
  SHARED(shared, float[256]);
  int t = threadIdx.x;
  shared[t] = inp[t];
  out[t] = inp[255 - t] + 0 * shared[t ^ 1];
}

// ---- memory ----

__global__ void ok_plain(float* out, const float* inp) { out[threadIdx.x] = inp[255 - threadIdx.x]; }

__global__ void store_off_by_one(float* out, const float* inp) {
  for (int i = threadIdx.x; i <= 256; i += 256) out[i] = inp[255 - i % 256];
}

__global__ void load_off_by_one(float* out, const float* inp) {
  int t = threadIdx.x;
  out[t] = inp[256 - t] * 0 + inp[255 - t];
}

__global__ void shared_off_by_one(float* out, const float* inp) {
  SHARED(first, float[256]);
  SHARED(second, float[8]);
  int t = threadIdx.x;
  if (t < 8) second[t] = 0;
  first[t + 1 - (t == 0)] = 0;
  __syncthreads();
  out[t] = inp[255 - t] + second[t % 8];
}

__global__ void dynamic_off_by_one(float* out, const float* inp) {
  DYN_SHARED(memory);
  float* first = memory.take<float>(64);
  float* second = memory.take<float>(256);
  int t = threadIdx.x;
  second[t] = inp[t];
  if (t <= 64) first[t] = 0;
  __syncthreads();
  out[t] = inp[255 - t] + 0 * second[t];
}

__global__ void dynamic_too_small(float* out, const float* inp) {
  DYN_SHARED(memory);
  float* first = memory.take<float>(64);
  float* second = memory.take<float>(512);
  int t = threadIdx.x;
  second[t] = inp[t];
  if (t < 64) first[t] = 0;
  out[t] = inp[255 - t];
}

__global__ void uninitialised_shared(float* out, const float* inp) {
  SHARED(shared, float[256]);
  int t = threadIdx.x;
  if (t < 255) shared[t] = 0;
  __syncthreads();
  out[t] = inp[255 - t] + shared[t];
}

__global__ void uninitialised_global(float* out, const float* inp) {
  int t = threadIdx.x;
  float value = out[t];
  out[t] = inp[255 - t] + (value == 123456.f ? 1.f : 0.f);
}

__global__ void misaligned_vector(float* out, const float* inp) {
  int t = threadIdx.x;
  if (t < 63) out[t] = 0 * reinterpret_cast<const float4*>(inp + 1 + 4 * t)->x;
  __syncthreads();
  out[t] = inp[255 - t];
}

__global__ void host_pointer(float* out, const float* inp, const float* host) {
  out[threadIdx.x] = inp[255 - threadIdx.x] + host[0];
}

__global__ void local_of_another_thread(float* out, const float* inp) {
  SHARED(pointer, float*);
  float local = 0;
  if (threadIdx.x == 0) pointer = &local;
  __syncthreads();
  if (threadIdx.x == 9) local = *pointer;
  __syncthreads();
  out[threadIdx.x] = inp[255 - threadIdx.x] + local;
}

__global__ void stack_too_deep(float* out, const float* inp) {
  volatile float large[40000];
  large[threadIdx.x] = 1;
  large[39999] = 0;
  out[threadIdx.x] = inp[255 - threadIdx.x] + large[39999];
}

// ---- between blocks: the sum of inp's first 8 ----

__global__ void ok_block_atomic(float* out, const float* inp) {
  if (threadIdx.x == 0) atomicAdd(out, inp[blockIdx.x]);
}

__global__ void blocks_accumulate(float* out, const float* inp) {
  if (threadIdx.x == 0) out[0] += inp[blockIdx.x];
}

__global__ void blocks_in_order(float* out, const float*) {
  if (threadIdx.x != 0) return;
  if (blockIdx.x == 0) out[1] = 1.f;
  if (blockIdx.x == 7) out[0] = out[1] == 1.f ? 36.f : 0.f;
}

template <bool kFence>
__device__ void last_block_sums(float* out, const float* inp) {
  SHARED(last, bool);
  float* partial = out + 8;
  if (threadIdx.x == 0) {
    partial[blockIdx.x] = inp[blockIdx.x];
    if (kFence) __threadfence();
    last = atomicAdd(reinterpret_cast<unsigned*>(out + 4), 1u) == gridDim.x - 1;
  }
  __syncthreads();
  if (!last || threadIdx.x != 0) return;
  if (kFence) __threadfence();
  float sum = 0;
  for (unsigned i = 0; i < gridDim.x; ++i) sum += partial[i];
  out[0] = sum;
}

__global__ void ok_last_block(float* out, const float* inp) { last_block_sums<true>(out, inp); }
__global__ void last_block_without_fence(float* out, const float* inp) { last_block_sums<false>(out, inp); }

// ---- launches that overlap the kernel ahead ----

__global__ void ok_overlap(float* out, const float* inp) {
  simt::wait_for_previous();
  int t = threadIdx.x;
  if (t >= 256) return;
  out[t] = inp[255 - t];
}

__global__ void overlap_without_wait(float* out, const float* inp) {
  int t = threadIdx.x;
  out[t] = inp[255 - t];
}

__global__ void overlap_returns_before_wait(float* out, const float* inp) {
  int t = threadIdx.x;
  if (t >= 256) return;
  simt::wait_for_previous();
  out[t] = inp[255 - t];
}

__global__ void overlap_reads_before_wait(float* out, const float* inp) {
  int t = threadIdx.x;
  const float value = inp[255 - t];
  simt::wait_for_previous();
  out[t] = value;
}

__global__ void overlap_writes_before_wait(float* out, const float* inp) {
  int t = threadIdx.x;
  out[t] = 0;
  simt::wait_for_previous();
  out[t] = inp[255 - t];
}

__global__ void overlap_counts_before_wait(float* out, const float*) {
  atomicAdd(out, 1.f / 32);
  simt::wait_for_previous();
  if (threadIdx.x == 0) atomicAdd(out, 3.5f);
}

__global__ void overlap_copies_before_wait(float* out, const float* inp) {
  DYN_SHARED(memory);
  float* shared = memory.take<float>(256);
  int t = threadIdx.x;
  if (t < 64) simt::cp_async16(shared + 4 * t, inp + 4 * t);
  simt::cp_async_commit();
  simt::wait_for_previous();
  simt::cp_async_wait<0>();
  __syncthreads();
  out[t] = shared[255 - t];
}

// ---- cp.async and ldmatrix ----

enum class Mistake { kNone, kNoWait, kWaitForFewer, kNoBarrier };

template <Mistake kMistake>
__device__ void copy_async(float* out, const float* inp) {
  DYN_SHARED(memory);
  float* shared = memory.take<float>(256);
  int t = threadIdx.x;
  const bool waits_late = kMistake == Mistake::kNoWait || kMistake == Mistake::kWaitForFewer;
  if (t < 64) {
    simt::cp_async16(shared + 4 * t, inp + 4 * t);
    simt::cp_async_commit();
    if (kMistake == Mistake::kWaitForFewer) simt::cp_async_wait<1>();
    if (!waits_late) simt::cp_async_wait<0>();
  }
  if (kMistake != Mistake::kNoBarrier) __syncthreads();
  out[t] = shared[255 - t];
  if (waits_late) simt::cp_async_wait<0>();
}

__global__ void ok_async(float* out, const float* inp) { copy_async<Mistake::kNone>(out, inp); }
__global__ void async_without_wait(float* out, const float* inp) { copy_async<Mistake::kNoWait>(out, inp); }
__global__ void async_waits_for_fewer(float* out, const float* inp) { copy_async<Mistake::kWaitForFewer>(out, inp); }
__global__ void async_without_barrier(float* out, const float* inp) { copy_async<Mistake::kNoBarrier>(out, inp); }

__global__ void async_never_waited_for(float* out, const float* inp) {
  DYN_SHARED(memory);
  float* shared = memory.take<float>(256);
  int t = threadIdx.x;
  if (t < 64) simt::cp_async16(shared + 4 * t, inp + 4 * t);
  simt::cp_async_commit();
  out[t] = inp[255 - t];
}

__global__ void async_misaligned(float* out, const float* inp) {
  DYN_SHARED(memory);
  float* shared = memory.take<float>(256);
  int t = threadIdx.x;
  if (t < 63) simt::cp_async16(shared + 4 * t + 1, inp + 4 * t);
  simt::cp_async_commit();
  simt::cp_async_wait<0>();
  __syncthreads();
  out[t] = inp[255 - t];
}

constexpr uint32_t kTwoOnes = 0x3f803f80u;  // bf16

__global__ void ldmatrix_without_syncwarp(float* out, const float* inp) {
  DYN_SHARED(memory);
  auto* shared = memory.take<__nv_bfloat16>(256);
  int t = threadIdx.x;
  out[t] = inp[255 - t];
  if (t >= 32) return;
  for (int i = 0; i < 8; ++i) shared[t * 8 + i] = __float2bfloat16(1.f);
  uint32_t registers[4];
  simt::ldmatrix_x4(registers, shared + (t + 1) % 32 * 8);
  if (registers[0] != kTwoOnes) out[t] = 0;
}

__global__ void ldmatrix_misaligned(float* out, const float* inp) {
  DYN_SHARED(memory);
  auto* shared = memory.take<__nv_bfloat16>(512);
  int t = threadIdx.x;
  out[t] = inp[255 - t];
  if (t >= 32) return;
  for (int i = 0; i < 16; ++i) shared[t * 16 + i] = __float2bfloat16(1.f);
  __syncwarp();
  uint32_t registers[4];
  simt::ldmatrix_x4(registers, shared + t * 8 + 4);
  if (registers[0] != kTwoOnes) out[t] = 0;
}

// ---- the runs ----

enum Result { kNothing = 0, kValue = 1, kReport = 2 };
const char* const kResultNames[] = {"nothing", "value", "report"};

using Kernel = void (*)(float*, const float*);

struct Arrays {
  float* inp;  // 1 .. 256
  float* out;  // 256
  std::vector<float> host_inp;

  explicit Arrays(bool clear) : host_inp(kThreads) {
    for (int i = 0; i < kThreads; ++i) host_inp[static_cast<size_t>(i)] = static_cast<float>(i + 1);
    cudaMalloc(&inp, bytes());
    cudaMalloc(&out, bytes());
    cudaMemcpy(inp, host_inp.data(), bytes(), cudaMemcpyHostToDevice);
    if (clear) cudaMemset(out, 0, bytes());
  }
  size_t bytes() const { return host_inp.size() * sizeof(float); }

  Result check(bool reversed) const {
    if (cudaDeviceSynchronize() != cudaSuccess) return kReport;
    std::vector<float> found(kThreads);
    cudaMemcpy(found.data(), out, bytes(), cudaMemcpyDeviceToHost);
    if (!reversed) return found[0] == 36.f ? kNothing : kValue;
    for (size_t i = 0; i < found.size(); ++i) {
      if (found[i] != host_inp[255 - i]) return kValue;
    }
    return kNothing;
  }
};

Result run_reversing(Kernel kernel) {
  const Arrays arrays(false);
  if (simt::launch(kernel, 1, kThreads, 2048, nullptr, arrays.out, arrays.inp) != cudaSuccess) return kReport;
  return arrays.check(true);
}

Result run_too_small(Kernel kernel) {
  const Arrays arrays(false);
  if (simt::launch(kernel, 1, kThreads, 1280, nullptr, arrays.out, arrays.inp) != cudaSuccess) return kReport;
  return arrays.check(true);
}

Result run_summing(Kernel kernel) {
  const Arrays arrays(true);
  if (simt::launch(kernel, kBlocks, 32, 0, nullptr, arrays.out, arrays.inp) != cudaSuccess) return kReport;
  return arrays.check(false);
}

// With threads to spare in the last block.
Result run_overlapping(Kernel kernel, int threads) {
  const Arrays arrays(true);
  cudaStream_t stream;
  cudaStreamCreate(&stream);
  const simt::Order order(stream, true);
  if (simt::launch(kernel, 1, threads, 2048, order, arrays.out, arrays.inp) != cudaSuccess) return kReport;
  return arrays.check(true);
}
Result run_overlapping(Kernel kernel) { return run_overlapping(kernel, kThreads); }
Result run_overlapping_with_idle_threads(Kernel kernel) { return run_overlapping(kernel, kThreads + 32); }

Result run_overlapping_sum(Kernel kernel) {
  const Arrays arrays(true);
  if (simt::launch(kernel, kBlocks, 32, 0, simt::Order(nullptr, true), arrays.out, arrays.inp) != cudaSuccess) {
    return kReport;
  }
  return arrays.check(false);
}

Result run_host_pointer(Kernel) {
  const Arrays arrays(false);
  std::vector<float> host(16);
  simt::launch(&host_pointer, 1, kThreads, 0, nullptr, arrays.out, arrays.inp, host.data());
  return arrays.check(true);
}

Result run_freed(Kernel) {
  const Arrays arrays(false);
  float* freed;
  cudaMalloc(&freed, arrays.bytes());
  cudaFree(freed);
  simt::launch(&ok_plain, 1, kThreads, 0, nullptr, freed, arrays.inp);
  return cudaDeviceSynchronize() == cudaSuccess ? kNothing : kReport;
}

Result run_grid_of_none(Kernel) {
  const Arrays arrays(false);
  return simt::launch(&ok_plain, 0, kThreads, 0, nullptr, arrays.out, arrays.inp) ? kReport : kNothing;
}

Result run_block_too_large(Kernel) {
  const Arrays arrays(false);
  return simt::launch(&ok_plain, 1, 2048, 0, nullptr, arrays.out, arrays.inp) ? kReport : kNothing;
}

// The host changes a pinned array that a copy may not have read yet.
Result run_host_buffer_reuse(Kernel) {
  simt::config().lazy_streams = true;
  const Arrays arrays(true);
  cudaStream_t stream;
  cudaStreamCreate(&stream);
  float* pinned;
  cudaMallocHost(&pinned, arrays.bytes());
  memcpy(pinned, arrays.host_inp.data(), arrays.bytes());
  cudaMemcpyAsync(arrays.inp, pinned, arrays.bytes(), cudaMemcpyHostToDevice, stream);
  memset(pinned, 0, arrays.bytes());
  simt::launch(&ok_plain, 1, kThreads, 0, stream, arrays.out, arrays.inp);
  cudaStreamSynchronize(stream);
  return arrays.check(true);
}

Result run_two_streams(bool waits) {
  simt::config().lazy_streams = true;
  const Arrays arrays(true);
  cudaStream_t first, second;
  cudaStreamCreate(&first);
  cudaStreamCreate(&second);
  cudaEvent_t copied;
  cudaEventCreate(&copied);
  float* staged;
  cudaMalloc(&staged, arrays.bytes());
  cudaMemset(staged, 0, arrays.bytes());
  cudaMemcpyAsync(staged, arrays.inp, arrays.bytes(), cudaMemcpyDeviceToDevice, first);
  cudaEventRecord(copied, first);
  if (waits) cudaStreamWaitEvent(second, copied);
  simt::launch(&ok_plain, 1, kThreads, 0, second, arrays.out, staged);
  cudaStreamSynchronize(second);
  return arrays.check(true);
}

Result run_missing_stream_wait(Kernel) { return run_two_streams(false); }
Result run_stream_wait(Kernel) { return run_two_streams(true); }

struct Plant {
  const char* name;
  Result (*run)(Kernel);
  Kernel kernel;
};

#define REVERSING(kernel) {#kernel, run_reversing, kernel}
#define SUMMING(kernel) {#kernel, run_summing, kernel}

const Plant kPlants[] = {
    REVERSING(ok_plain),
    REVERSING(ok_sync),
    REVERSING(ok_shuffle_in_halves),
    REVERSING(ok_syncwarp),
    REVERSING(ok_async),
    SUMMING(ok_block_atomic),
    SUMMING(ok_last_block),
    {"ok_stream_wait", run_stream_wait, nullptr},
    {"ok_overlap", run_overlapping_with_idle_threads, ok_overlap},
    {"overlap_without_wait", run_overlapping, overlap_without_wait},
    {"overlap_returns_before_wait", run_overlapping_with_idle_threads, overlap_returns_before_wait},
    {"overlap_reads_before_wait", run_overlapping, overlap_reads_before_wait},
    {"overlap_writes_before_wait", run_overlapping, overlap_writes_before_wait},
    {"overlap_counts_before_wait", run_overlapping_sum, overlap_counts_before_wait},
    {"overlap_copies_before_wait", run_overlapping, overlap_copies_before_wait},
    REVERSING(missing_sync),
    REVERSING(reuse_without_sync),
    REVERSING(one_thread_skips_barrier),
    REVERSING(return_before_barrier),
    REVERSING(divergent_barrier),
    REVERSING(shuffle_after_exit),
    REVERSING(shuffle_in_a_branch),
    REVERSING(shuffle_mask_too_short),
    REVERSING(shuffle_masks_differ),
    REVERSING(shuffle_reads_outside_mask),
    REVERSING(missing_syncwarp),
    REVERSING(store_off_by_one),
    REVERSING(load_off_by_one),
    REVERSING(shared_off_by_one),
    REVERSING(dynamic_off_by_one),
    {"dynamic_too_small", run_too_small, dynamic_too_small},
    REVERSING(uninitialised_shared),
    REVERSING(uninitialised_global),
    REVERSING(misaligned_vector),
    {"host_pointer", run_host_pointer, nullptr},
    REVERSING(local_of_another_thread),
    REVERSING(stack_too_deep),
    SUMMING(blocks_accumulate),
    SUMMING(blocks_in_order),
    SUMMING(last_block_without_fence),
    REVERSING(async_without_wait),
    REVERSING(async_waits_for_fewer),
    REVERSING(async_without_barrier),
    REVERSING(async_never_waited_for),
    REVERSING(async_misaligned),
    REVERSING(ldmatrix_without_syncwarp),
    REVERSING(ldmatrix_misaligned),
    {"use_after_free", run_freed, nullptr},
    {"grid_of_none", run_grid_of_none, nullptr},
    {"block_too_large", run_block_too_large, nullptr},
    {"host_buffer_reuse", run_host_buffer_reuse, nullptr},
    {"missing_stream_wait", run_missing_stream_wait, nullptr},
};

// In the child: the report goes through the pipe, the result is the exit status.
[[noreturn]] void run_and_exit(const Plant& plant, int pipe) {
  const Result result = plant.run(plant.kernel);
  const char* report = simt::last_report();
  if (write(pipe, report, strlen(report)) < 0) perror("write");
  _exit(result);
}

std::string read_all(int pipe) {
  std::string text;
  char part[512];
  for (ssize_t bytes; (bytes = read(pipe, part, sizeof part)) > 0;) text.append(part, static_cast<size_t>(bytes));
  return text;
}

void run_in_child(const Plant& plant) {
  int ends[2];
  if (pipe(ends) != 0) exit(1);
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) run_and_exit(plant, ends[1]);
  close(ends[1]);
  const std::string report = read_all(ends[0]);
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  const bool known = WIFEXITED(status) && WEXITSTATUS(status) <= kReport;
  printf("%s %s %s\n", plant.name, known ? kResultNames[WEXITSTATUS(status)] : "crash", report.c_str());
}

}  // namespace

int main(int count, char** arguments) {
  simt::config().seed = count > 1 ? static_cast<uint64_t>(atoll(arguments[1])) : 0;
  simt::config().quiet = true;
  for (const Plant& plant : kPlants) run_in_child(plant);
}
