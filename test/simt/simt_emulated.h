// CUDA's device vocabulary on the CPU: what a kernel sees where native/cuda/simt.h does not see nvcc. Every CUDA thread
// is a fiber (a stack of its own, switched to by hand), so a kernel is an ordinary function that is called once a
// thread; warp collectives and barriers are places where fibers wait for each other. For tests only; see README.md.
#pragma once

#ifndef BERTUNE_EMULATED
#error "compile with -DBERTUNE_EMULATED"
#endif

#include <cstdint>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>

#include "simt_runtime.h"
#include "simt_types.h"

// Where a kernel calls: the last two parameters of everything that reports.
#define SIMT_SITE const char *file = __builtin_FILE(), int line = __builtin_LINE()

namespace simt {

template <class T>
struct type_id {
  using type = T;
};
template <class T>
using type_t = typename type_id<T>::type;

// ---- what the emulator does (runtime/) ----

// Of the thread that runs. Plain globals: launches run one at a time.
extern uint3 g_threadIdx, g_blockIdx;
extern dim3 g_blockDim, g_gridDim;

enum class Op : int {
  kShuffle,
  kShuffleUp,
  kShuffleDown,
  kShuffleXor,
  kBallot,
  kAny,
  kAll,
  kSync,
  kSum,
  kMin,
  kMax,
  kMmaBf16,
  kMmaF16,
  kLdmatrixX2,
  kLdmatrixX2Trans,
  kLdmatrixX4,
  kLdmatrixX4Trans
};
enum class Barrier : int { kPlain, kCount, kAnd, kOr };

uint64_t warp_exchange(Op op, unsigned mask, uint64_t value, int argument, int width, const char* file, int line);
// c (4 floats) += a (4 registers) · b (2 registers)
void warp_multiply(Op op, float* c, const uint32_t* a, const uint32_t* b, const char* file, int line);
void warp_load_matrices(Op op, uint32_t* registers, const void* row, const char* file, int line);
unsigned block_barrier(Barrier kind, unsigned predicate, const char* file, int line);
void* shared_static(const void* key, size_t bytes, const char* name);
void* shared_dynamic(int ordinal, size_t bytes, const char* file, int line);
void async_copy(void* out, const void* inp, bool valid, const char* file, int line);
void async_commit();
void async_wait(int pending);
void thread_fence();
void wait_for_previous();
// Before an atomic operation reads and writes: checks its alignment, and notes it for the race detector.
void atomic_access(const volatile void* pointer, size_t bytes);
[[noreturn]] void device_fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

// A kernel and its arguments, which the emulator owns once they are launched.
struct KernelCall {
  const void* kernel;
  void (*thunk)(void* arguments);
  void* arguments;
  size_t argument_bytes;
  void (*drop)(void* arguments);
};
struct Order {
  cudaStream_t stream;
  bool overlaps;
  Order(cudaStream_t stream, bool overlaps = false) : stream(stream), overlaps(overlaps) {}
};
cudaError_t launch_raw(const KernelCall& call, dim3 grid, dim3 block, size_t shared_bytes, Order order);

// ---- launch ----

template <class... P>
struct BoundKernel {
  void (*kernel)(P...);
  std::tuple<std::decay_t<P>...> arguments;

  static void run(void* bound) {
    auto* self = static_cast<BoundKernel*>(bound);
    std::apply(self->kernel, self->arguments);
  }
  static void drop(void* bound) { delete static_cast<BoundKernel*>(bound); }
};

template <class... P, class... A>
inline cudaError_t launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes, Order order,
                          A&&... arguments) {
  using Bound = BoundKernel<P...>;
  static_assert(sizeof...(P) == sizeof...(A), "kernel argument count");
  static_assert((std::is_trivially_copyable_v<std::decay_t<P>> && ...), "kernel arguments must be trivially copyable");
  auto* bound = new Bound{kernel, {static_cast<P>(std::forward<A>(arguments))...}};
  const KernelCall call{reinterpret_cast<const void*>(kernel), &Bound::run, bound, sizeof(Bound), &Bound::drop};
  return launch_raw(call, grid, block, shared_bytes, order);
}

// ---- shared memory ----

struct SmemCarver {
  int taken = 0;
  template <class T>
  T* take(int count, SIMT_SITE) {
    return static_cast<T*>(shared_dynamic(taken++, sizeof(T) * static_cast<size_t>(count), file, line));
  }
};
template <class T>
constexpr size_t smem_bytes(size_t n) {
  return (n * sizeof(T) + 15) & ~size_t(15);
}

// ---- tensor core, ldmatrix, cp.async ----

static inline void mma_m16n8k16_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], SIMT_SITE) {
  warp_multiply(Op::kMmaBf16, d, a, b, file, line);
}
static inline void mma_m16n8k16_f16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], SIMT_SITE) {
  warp_multiply(Op::kMmaF16, d, a, b, file, line);
}
static inline void ldmatrix_x4(uint32_t (&r)[4], const void* row, SIMT_SITE) {
  warp_load_matrices(Op::kLdmatrixX4, r, row, file, line);
}
static inline void ldmatrix_x4_trans(uint32_t (&r)[4], const void* row, SIMT_SITE) {
  warp_load_matrices(Op::kLdmatrixX4Trans, r, row, file, line);
}
static inline void ldmatrix_x2(uint32_t (&r)[2], const void* row, SIMT_SITE) {
  warp_load_matrices(Op::kLdmatrixX2, r, row, file, line);
}
static inline void ldmatrix_x2_trans(uint32_t (&r)[2], const void* row, SIMT_SITE) {
  warp_load_matrices(Op::kLdmatrixX2Trans, r, row, file, line);
}
static inline void cp_async16(void* dst, const void* src, bool valid = true, SIMT_SITE) {
  async_copy(dst, src, valid, file, line);
}
static inline void cp_async_commit() { async_commit(); }
template <int N>
static inline void cp_async_wait() {
  async_wait(N);
}

// ---- values as collectives carry them ----

template <class T>
static inline uint64_t to_bits(T value) {
  static_assert(sizeof(T) <= sizeof(uint64_t) && std::is_trivially_copyable_v<T>);
  uint64_t bits = 0;
  memcpy(&bits, &value, sizeof(T));
  return bits;
}
template <class T>
static inline T from_bits(uint64_t bits) {
  T value;
  memcpy(&value, &bits, sizeof(T));
  return value;
}

}  // namespace simt

#define threadIdx (::simt::g_threadIdx)
#define blockIdx (::simt::g_blockIdx)
#define blockDim (::simt::g_blockDim)
#define gridDim (::simt::g_gridDim)
static constexpr int warpSize = 32;

#define SIMT_JOIN_NAMES(a, b) a##b
#define SIMT_JOIN(a, b) SIMT_JOIN_NAMES(a, b)
// The address of a static constant tells one array from another.
#define SHARED(name, ...)                                                         \
  static const char SIMT_JOIN(simt_key_, name) = 0;                               \
  ::simt::type_t<__VA_ARGS__>& name = *static_cast<::simt::type_t<__VA_ARGS__>*>( \
      ::simt::shared_static(&SIMT_JOIN(simt_key_, name), sizeof(::simt::type_t<__VA_ARGS__>), #name))
#define DYN_SHARED(name) ::simt::SmemCarver name

// ---- barriers and fences ----

static inline void __syncthreads(SIMT_SITE) { simt::block_barrier(simt::Barrier::kPlain, 0, file, line); }
static inline int __syncthreads_count(int predicate, SIMT_SITE) {
  return static_cast<int>(simt::block_barrier(simt::Barrier::kCount, predicate != 0, file, line));
}
static inline int __syncthreads_and(int predicate, SIMT_SITE) {
  return static_cast<int>(simt::block_barrier(simt::Barrier::kAnd, predicate != 0, file, line));
}
static inline int __syncthreads_or(int predicate, SIMT_SITE) {
  return static_cast<int>(simt::block_barrier(simt::Barrier::kOr, predicate != 0, file, line));
}
static inline void __syncwarp(unsigned mask = 0xffffffffu, SIMT_SITE) {
  simt::warp_exchange(simt::Op::kSync, mask, 0, 0, 0, file, line);
}
static inline void __threadfence() { simt::thread_fence(); }
static inline void __threadfence_block() {}

// ---- warp collectives ----

template <class T>
static inline T __shfl_sync(unsigned mask, T value, int source, int width = 32, SIMT_SITE) {
  return simt::from_bits<T>(
      simt::warp_exchange(simt::Op::kShuffle, mask, simt::to_bits(value), source, width, file, line));
}
template <class T>
static inline T __shfl_up_sync(unsigned mask, T value, unsigned distance, int width = 32, SIMT_SITE) {
  return simt::from_bits<T>(simt::warp_exchange(simt::Op::kShuffleUp, mask, simt::to_bits(value),
                                                static_cast<int>(distance), width, file, line));
}
template <class T>
static inline T __shfl_down_sync(unsigned mask, T value, unsigned distance, int width = 32, SIMT_SITE) {
  return simt::from_bits<T>(simt::warp_exchange(simt::Op::kShuffleDown, mask, simt::to_bits(value),
                                                static_cast<int>(distance), width, file, line));
}
template <class T>
static inline T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32, SIMT_SITE) {
  return simt::from_bits<T>(
      simt::warp_exchange(simt::Op::kShuffleXor, mask, simt::to_bits(value), lanes, width, file, line));
}
static inline unsigned __ballot_sync(unsigned mask, int predicate, SIMT_SITE) {
  return static_cast<unsigned>(simt::warp_exchange(simt::Op::kBallot, mask, predicate != 0, 0, 0, file, line));
}
static inline int __any_sync(unsigned mask, int predicate, SIMT_SITE) {
  return static_cast<int>(simt::warp_exchange(simt::Op::kAny, mask, predicate != 0, 0, 0, file, line));
}
static inline int __all_sync(unsigned mask, int predicate, SIMT_SITE) {
  return static_cast<int>(simt::warp_exchange(simt::Op::kAll, mask, predicate != 0, 0, 0, file, line));
}
static inline unsigned __reduce_add_sync(unsigned mask, unsigned value, SIMT_SITE) {
  return static_cast<unsigned>(simt::warp_exchange(simt::Op::kSum, mask, value, 0, 0, file, line));
}
static inline unsigned __reduce_min_sync(unsigned mask, unsigned value, SIMT_SITE) {
  return static_cast<unsigned>(simt::warp_exchange(simt::Op::kMin, mask, value, 0, 0, file, line));
}
static inline unsigned __reduce_max_sync(unsigned mask, unsigned value, SIMT_SITE) {
  return static_cast<unsigned>(simt::warp_exchange(simt::Op::kMax, mask, value, 0, 0, file, line));
}

// ---- atomics ----
// The race build must see one atomic access (atomic_access) and no plain load and store: those are not instrumented.

#if defined(__SANITIZE_THREAD__)
#define SIMT_UNSEEN __attribute__((no_sanitize("thread"), noinline))
#else
#define SIMT_UNSEEN
#endif
#define SIMT_ATOMIC(name, result)                           \
  template <class T>                                        \
  SIMT_UNSEEN T simt_unseen_##name(T* pointer, T value) {   \
    const T old = *pointer;                                 \
    *pointer = (result);                                    \
    return old;                                             \
  }                                                         \
  template <class T>                                        \
  static inline T name(T* pointer, simt::type_t<T> value) { \
    simt::atomic_access(pointer, sizeof(T));                \
    return simt_unseen_##name(pointer, value);              \
  }
SIMT_ATOMIC(atomicAdd, static_cast<T>(old + value))
SIMT_ATOMIC(atomicSub, static_cast<T>(old - value))
SIMT_ATOMIC(atomicMax, value > old ? value : old)
SIMT_ATOMIC(atomicMin, value < old ? value : old)
SIMT_ATOMIC(atomicExch, value)
SIMT_ATOMIC(atomicOr, static_cast<T>(old | value))
SIMT_ATOMIC(atomicAnd, static_cast<T>(old& value))
SIMT_ATOMIC(atomicInc, old >= value ? T(0) : static_cast<T>(old + 1))

template <class T>
SIMT_UNSEEN T simt_unseen_atomicCAS(T* pointer, T expected, T value) {
  const T old = *pointer;
  if (old == expected) *pointer = value;
  return old;
}
template <class T>
static inline T atomicCAS(T* pointer, simt::type_t<T> expected, simt::type_t<T> value) {
  simt::atomic_access(pointer, sizeof(T));
  return simt_unseen_atomicCAS(pointer, expected, value);
}
