// CPU side of simt.h: CUDA's device vocabulary on cooperative fibers. Test-only.
#pragma once
#ifndef BERTUNE_EMULATED
#error "compile with -DBERTUNE_EMULATED"
#endif
#include <tuple>
#include <type_traits>
#include <utility>
#include "simt_types.h"
#include "simt_runtime.h"

#if defined(__SANITIZE_THREAD__)
#define SIMT_NOINSTR __attribute__((no_sanitize("thread"), noinline))
#else
#define SIMT_NOINSTR
#endif
#define SIMT_AT const char* file = __builtin_FILE(), int line = __builtin_LINE()

namespace simt {
template <class T> struct type_id { using type = T; };
template <class T> using type_t = typename type_id<T>::type;

// Set by the scheduler whenever a fiber is switched in. Plain globals: one OS thread runs kernels
// (launches are serialised by a mutex), so no TLS cost.
extern uint3 g_threadIdx, g_blockIdx;
extern dim3 g_blockDim, g_gridDim;

// ---- runtime entry points (simt_emu.cpp) ----
enum class Op : int { Shfl, ShflUp, ShflDown, ShflXor, Ballot, Any, All, SyncWarp, ReduxAdd, ReduxMin, ReduxMax, Mma, Ldmatrix };
struct WarpArg {            // one lane's view of a warp collective
  Op op; unsigned mask; uint64_t in; uint64_t out; int p1, p2;
  const void* cin[3]; void* cout;
  const char* file; int line;
};
void warp_collective(WarpArg& a);
unsigned block_barrier(int kind, unsigned pred, const char* file, int line);  // kind 0 plain, 1 count, 2 and, 3 or
void* shared_static(const void* key, size_t bytes, size_t align, const char* name);
void* shared_dyn_take(int ordinal, size_t bytes, const char* file, int line);
void cp_async_issue(void* dst, const void* src, bool valid, const char* file, int line);
void cp_async_commit_();
void cp_async_wait_(int n);
void thread_fence(int scope);
void atomic_touch(const volatile void* p, size_t n);   // race and alignment bookkeeping
[[noreturn]] void device_fail(const char* fmt, ...) __attribute__((format(printf, 1, 2)));
cudaError_t launch_raw(const void* kernel, void (*thunk)(void*), void* args, size_t arg_bytes, dim3 g, dim3 b, size_t smem,
                       cudaStream_t st, void (*drop)(void*));

// ---- launch ----
template <class... P> struct Pack {
  void (*k)(P...); std::tuple<std::decay_t<P>...> a;
  template <size_t... I> static void call(Pack* p, std::index_sequence<I...>) { p->k(std::get<I>(p->a)...); }
  static void run(void* v) { call(static_cast<Pack*>(v), std::index_sequence_for<P...>{}); }
  static void drop(void* v) { delete static_cast<Pack*>(v); }
};
template <class... P, class... A>
inline cudaError_t launch(void (*k)(P...), dim3 grid, dim3 block, size_t smem, cudaStream_t st, A&&... a) {
  static_assert(sizeof...(P) == sizeof...(A), "kernel argument count");
  static_assert((std::is_trivially_copyable_v<std::decay_t<P>> && ...), "kernel arguments must be trivially copyable");
  auto* p = new Pack<P...>{k, {static_cast<P>(std::forward<A>(a))...}};
  return launch_raw(reinterpret_cast<const void*>(k), &Pack<P...>::run, p, sizeof(p->a), grid, block, smem, st, &Pack<P...>::drop);
}

// ---- shared memory ----
struct SmemCarver {
  int n = 0;
  template <class T> T* take(int count, SIMT_AT) {
    return static_cast<T*>(shared_dyn_take(n++, sizeof(T) * static_cast<size_t>(count), file, line));
  }
};
template <class T> constexpr size_t smem_bytes(size_t n) { return (n * sizeof(T) + 15) & ~size_t(15); }

// ---- tensor core, ldmatrix, cp.async ----
static inline void collective_(Op op, const void* a, const void* b, const void* c, void* d, int p1, int p2, const char* f, int l) {
  WarpArg w; w.op = op; w.mask = 0xffffffffu; w.in = w.out = 0; w.p1 = p1; w.p2 = p2;
  w.cin[0] = a; w.cin[1] = b; w.cin[2] = c; w.cout = d; w.file = f; w.line = l;
  warp_collective(w);
}
static inline void mma_m16n8k16_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], SIMT_AT) { collective_(Op::Mma, a, b, d, d, 0, 0, file, line); }
static inline void mma_m16n8k16_f16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], SIMT_AT) { collective_(Op::Mma, a, b, d, d, 1, 0, file, line); }
static inline void ldmatrix_x4(uint32_t (&r)[4], const void* row, SIMT_AT) { collective_(Op::Ldmatrix, row, nullptr, nullptr, r, 4, 0, file, line); }
static inline void ldmatrix_x4_trans(uint32_t (&r)[4], const void* row, SIMT_AT) { collective_(Op::Ldmatrix, row, nullptr, nullptr, r, 4, 1, file, line); }
static inline void ldmatrix_x2(uint32_t (&r)[2], const void* row, SIMT_AT) { collective_(Op::Ldmatrix, row, nullptr, nullptr, r, 2, 0, file, line); }
static inline void ldmatrix_x2_trans(uint32_t (&r)[2], const void* row, SIMT_AT) { collective_(Op::Ldmatrix, row, nullptr, nullptr, r, 2, 1, file, line); }
static inline void cp_async16(void* dst, const void* src, bool valid = true, SIMT_AT) { cp_async_issue(dst, src, valid, file, line); }
static inline void cp_async_commit() { cp_async_commit_(); }
template <int N> static inline void cp_async_wait() { cp_async_wait_(N); }

// ---- warp helpers ----
template <class T> static inline uint64_t to_bits(T v) { static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>); uint64_t u = 0; memcpy(&u, &v, sizeof(T)); return u; }
template <class T> static inline T from_bits(uint64_t u) { T v; memcpy(&v, &u, sizeof(T)); return v; }
static inline uint64_t warp_(Op op, unsigned mask, uint64_t in, int p1, int p2, const char* f, int l) {
  WarpArg w; w.op = op; w.mask = mask; w.in = in; w.out = 0; w.p1 = p1; w.p2 = p2; w.file = f; w.line = l;
  warp_collective(w);
  return w.out;
}
}  // namespace simt

#define threadIdx (::simt::g_threadIdx)
#define blockIdx (::simt::g_blockIdx)
#define blockDim (::simt::g_blockDim)
#define gridDim (::simt::g_gridDim)
static constexpr int warpSize = 32;

#define SIMT_CAT2(a, b) a##b
#define SIMT_CAT(a, b) SIMT_CAT2(a, b)
#define SHARED(name, ...)                              \
  static const char SIMT_CAT(simt_key_, name) = 0;     \
  ::simt::type_t<__VA_ARGS__>& name = *static_cast<::simt::type_t<__VA_ARGS__>*>(::simt::shared_static( \
      &SIMT_CAT(simt_key_, name), sizeof(::simt::type_t<__VA_ARGS__>), alignof(::simt::type_t<__VA_ARGS__>), #name))
#define DYN_SHARED(name) ::simt::SmemCarver name

static inline void __syncthreads(SIMT_AT) { simt::block_barrier(0, 0, file, line); }
static inline int __syncthreads_count(int p, SIMT_AT) { return static_cast<int>(simt::block_barrier(1, p != 0, file, line)); }
static inline int __syncthreads_and(int p, SIMT_AT) { return static_cast<int>(simt::block_barrier(2, p != 0, file, line)); }
static inline int __syncthreads_or(int p, SIMT_AT) { return static_cast<int>(simt::block_barrier(3, p != 0, file, line)); }
static inline void __syncwarp(unsigned mask = 0xffffffffu, SIMT_AT) { simt::warp_(simt::Op::SyncWarp, mask, 0, 0, 0, file, line); }
static inline void __threadfence() { simt::thread_fence(1); }
static inline void __threadfence_block() { simt::thread_fence(0); }

template <class T> static inline T __shfl_sync(unsigned m, T v, int src, int w = 32, SIMT_AT) { return simt::from_bits<T>(simt::warp_(simt::Op::Shfl, m, simt::to_bits(v), src, w, file, line)); }
template <class T> static inline T __shfl_up_sync(unsigned m, T v, unsigned d, int w = 32, SIMT_AT) { return simt::from_bits<T>(simt::warp_(simt::Op::ShflUp, m, simt::to_bits(v), static_cast<int>(d), w, file, line)); }
template <class T> static inline T __shfl_down_sync(unsigned m, T v, unsigned d, int w = 32, SIMT_AT) { return simt::from_bits<T>(simt::warp_(simt::Op::ShflDown, m, simt::to_bits(v), static_cast<int>(d), w, file, line)); }
template <class T> static inline T __shfl_xor_sync(unsigned m, T v, int x, int w = 32, SIMT_AT) { return simt::from_bits<T>(simt::warp_(simt::Op::ShflXor, m, simt::to_bits(v), x, w, file, line)); }
static inline unsigned __ballot_sync(unsigned m, int p, SIMT_AT) { return static_cast<unsigned>(simt::warp_(simt::Op::Ballot, m, p != 0, 0, 0, file, line)); }
static inline int __any_sync(unsigned m, int p, SIMT_AT) { return static_cast<int>(simt::warp_(simt::Op::Any, m, p != 0, 0, 0, file, line)); }
static inline int __all_sync(unsigned m, int p, SIMT_AT) { return static_cast<int>(simt::warp_(simt::Op::All, m, p != 0, 0, 0, file, line)); }
static inline unsigned __reduce_add_sync(unsigned m, unsigned v, SIMT_AT) { return static_cast<unsigned>(simt::warp_(simt::Op::ReduxAdd, m, v, 0, 0, file, line)); }

// ---- atomics: the read-modify-write itself is uninstrumented, so that -fsanitize=thread (the race build)
// sees one atomic access (atomic_touch) and not a plain load and store ----
#define SIMT_ATOMIC(NAME, EXPR)                                                                        \
  template <class T> SIMT_NOINSTR T simt_rmw_##NAME(T* p, T v) { T o = *p; *p = (EXPR); return o; }    \
  template <class T> static inline T NAME(T* p, simt::type_t<T> v) { simt::atomic_touch(p, sizeof(T)); return simt_rmw_##NAME(p, v); }
SIMT_ATOMIC(atomicAdd, static_cast<T>(o + v))
SIMT_ATOMIC(atomicSub, static_cast<T>(o - v))
SIMT_ATOMIC(atomicMax, v > o ? v : o)
SIMT_ATOMIC(atomicMin, v < o ? v : o)
SIMT_ATOMIC(atomicExch, v)
SIMT_ATOMIC(atomicOr, static_cast<T>(o | v))
SIMT_ATOMIC(atomicAnd, static_cast<T>(o & v))
SIMT_ATOMIC(atomicInc, o >= v ? T(0) : static_cast<T>(o + 1))
template <class T> SIMT_NOINSTR T simt_rmw_cas(T* p, T c, T v) { T o = *p; if (o == c) *p = v; return o; }
template <class T> static inline T atomicCAS(T* p, simt::type_t<T> c, simt::type_t<T> v) { simt::atomic_touch(p, sizeof(T)); return simt_rmw_cas(p, c, v); }
