// One kernel per planted bug. `planted NAME SEED` runs one; exit 0 = nothing noticed, 1 = wrong result, 2 = the emulator reported.
// ASan aborts with its own status. "ok_*" kernels are correct and must NOT be reported (false-positive check).
#include "cuda/simt.h"
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>
#include <map>
#include <functional>
#define FULL 0xffffffffu
// --- barriers ---
__global__ void missing_sync(float* o, const float* x) { SHARED(s, float[256]); int t = threadIdx.x; s[t] = x[t]; o[t] = s[255 - t]; }
__global__ void ok_sync(float* o, const float* x) { SHARED(s, float[256]); int t = threadIdx.x; s[t] = x[t]; __syncthreads(); o[t] = s[255 - t]; }
__global__ void reuse_no_sync(float* o, const float* x) { SHARED(s, float[256]); int t = threadIdx.x; float r = 0;
  for (int k = 0; k < 2; ++k) { s[t] = x[t] + k; __syncthreads(); r = s[255 - t]; } o[t] = r - 1; }   // no barrier before the next write
__global__ void skip_barrier(float* o, const float* x) { int t = threadIdx.x; if (t != 77) __syncthreads(); o[t] = x[255 - t]; }
__global__ void return_before_barrier(float* o, const float* x) { int t = threadIdx.x; if (t >= 250) return; __syncthreads(); o[t] = x[255 - t]; }
__global__ void divergent_barrier(float* o, const float* x) { int t = threadIdx.x; if (t < 128) __syncthreads(); else { __syncthreads(); } o[t] = x[255 - t];
  if (t < 128) { __syncthreads();
  } else {
    __syncthreads(); } }
// --- warp collectives ---
__device__ float wsum(float v, unsigned m) { for (int d = 16; d; d >>= 1) v += __shfl_xor_sync(m, v, d); return v; }
__global__ void shfl_exited(float* o, const float* x) { int t = threadIdx.x; if ((t & 31) >= 20) return; o[t] = __shfl_down_sync(FULL, x[t], 1); }
__global__ void shfl_divergent(float* o, const float* x) { int t = threadIdx.x; float v = x[255 - t]; if ((t & 31) < 16) v += 0 * __shfl_xor_sync(FULL, v, 1); o[t] = v; }
__global__ void shfl_mask_short(float* o, const float* x) { int t = threadIdx.x; float v = wsum(1.f, 0x0000ffffu); o[t] = x[255 - t] + v - 32; }
__global__ void shfl_mask_differs(float* o, const float* x) { int t = threadIdx.x; float v = x[255 - t]; unsigned m = (t & 1) ? FULL : 0x55555555u; o[t] = v + 0 * __shfl_xor_sync(m, v, 2); }
__global__ void shfl_reads_outside(float* o, const float* x) { int t = threadIdx.x; float v = x[255 - t]; if ((t & 31) < 16) v += 0 * __shfl_down_sync(0xffffu, v, 1); o[t] = v; }
__global__ void ok_shfl_half(float* o, const float* x) { int t = threadIdx.x; float v = x[255 - t]; if ((t & 31) < 16) v += 0 * __shfl_xor_sync(0xffffu, v, 1); else v += 0 * __shfl_xor_sync(0xffff0000u, v, 4); o[t] = v; }
__global__ void missing_syncwarp(float* o, const float* x) { SHARED(s, float[256]); int t = threadIdx.x; s[t] = x[t ^ 31]; o[t ^ 224] = s[t ^ 1 ^ 0] ; (void)o; float v = s[t ^ 1]; o[t ^ 224] = x[255 - (t ^ 224)] + 0 * v; }
__global__ void ok_syncwarp(float* o, const float* x) { SHARED(s, float[256]); int t = threadIdx.x; s[t] = x[t]; __syncwarp(); float v = s[t ^ 1]; o[t] = x[255 - t] + 0 * v; }
// --- memory ---
__global__ void store_off_by_one(float* o, const float* x) { int t = threadIdx.x; for (int i = t; i <= 256; i += 256) o[i] = x[255 - (i & 255)]; }
__global__ void load_off_by_one(float* o, const float* x) { int t = threadIdx.x; o[t] = x[256 - t] * 0 + x[255 - t]; }
__global__ void shared_off_by_one(float* o, const float* x) { SHARED(s, float[256]); SHARED(q, float[8]); int t = threadIdx.x; if (t < 8) q[t] = 0; s[t + 1 - (t == 0)] = 0; __syncthreads(); o[t] = x[255 - t] + q[t & 7]; }
__global__ void dyn_off_by_one(float* o, const float* x) { DYN_SHARED(sm); float* a = sm.take<float>(64); float* b = sm.take<float>(256); int t = threadIdx.x; b[t] = x[t]; if (t <= 64) a[t] = 0; __syncthreads(); o[t] = x[255 - t] + 0 * b[t]; }
__global__ void dyn_too_small(float* o, const float* x) { DYN_SHARED(sm); float* a = sm.take<float>(64); float* b = sm.take<float>(512); int t = threadIdx.x; b[t] = x[t]; if (t < 64) a[t] = 0; o[t] = x[255 - t]; }
__global__ void uninit_shared(float* o, const float* x) { SHARED(s, float[256]); int t = threadIdx.x; if (t < 255) s[t] = 0; __syncthreads(); o[t] = x[255 - t] + s[t]; }
__global__ void uninit_global(float* o, const float* x) { int t = threadIdx.x; float v = o[t]; o[t] = x[255 - t] + (v == 123456.f ? 1.f : 0.f); }
__global__ void misaligned(float* o, const float* x) { int t = threadIdx.x; if (t < 63) { float4 v = *reinterpret_cast<const float4*>(x + 1 + 4 * t); o[t] = v.x * 0; } __syncthreads(); o[t] = x[255 - t]; }
__global__ void host_pointer(float* o, const float* x, const float* h) { int t = threadIdx.x; o[t] = x[255 - t] + h[0]; }
__global__ void other_local(float* o, const float* x) { SHARED(p, float*); float loc = 0; if (threadIdx.x == 0) p = &loc; __syncthreads(); if (threadIdx.x == 9) loc = *p; __syncthreads(); o[threadIdx.x] = x[255 - threadIdx.x] + loc; }
// --- between blocks ---
__global__ void block_accumulate(float* acc, const float* x) { if (threadIdx.x == 0) acc[0] += x[blockIdx.x]; }
__global__ void ok_block_atomic(float* acc, const float* x) { if (threadIdx.x == 0) atomicAdd(acc, x[blockIdx.x]); }
__global__ void block_order(float* acc, const float* x) { if (threadIdx.x == 0) { if (blockIdx.x == 0) acc[1] = 1.f; if (blockIdx.x == 7) acc[0] = acc[1] == 1.f ? 36.f : 0.f; } (void)x; }
template <bool FENCE> __device__ void last_block(float* acc, const float* x, float* part, unsigned* tk) {
  SHARED(last, int); if (threadIdx.x == 0) { part[blockIdx.x] = x[blockIdx.x]; if (FENCE) __threadfence(); last = atomicAdd(tk, 1u) == gridDim.x - 1; } __syncthreads();
  if (last && threadIdx.x == 0) { if (FENCE) __threadfence(); float s = 0; for (unsigned i = 0; i < gridDim.x; ++i) s += part[i]; acc[0] = s; } }
__global__ void last_block_no_fence(float* a, const float* x, float* p, unsigned* t) { last_block<false>(a, x, p, t); }
__global__ void ok_last_block(float* a, const float* x, float* p, unsigned* t) { last_block<true>(a, x, p, t); }
// --- cp.async, ldmatrix ---
template <int MODE> __device__ void casync(float* o, const float* x) { DYN_SHARED(sm); float* s = sm.take<float>(256); int t = threadIdx.x;
  if (t < 64) { simt::cp_async16(s + 4 * t, x + 4 * t); simt::cp_async_commit(); if (MODE == 2) { simt::cp_async_wait<1>(); } if (MODE != 1 && MODE != 2) simt::cp_async_wait<0>(); }
  if (MODE != 3) __syncthreads(); o[t] = s[255 - t]; if (MODE == 1 || MODE == 2) simt::cp_async_wait<0>(); }
__global__ void async_no_wait(float* o, const float* x) { casync<1>(o, x); }
__global__ void async_wait_wrong_n(float* o, const float* x) { casync<2>(o, x); }
__global__ void async_no_sync(float* o, const float* x) { casync<3>(o, x); }
__global__ void ok_async(float* o, const float* x) { casync<0>(o, x); }
__global__ void async_misaligned(float* o, const float* x) { DYN_SHARED(sm); float* s = sm.take<float>(256); int t = threadIdx.x; if (t < 63) simt::cp_async16(s + 4 * t + 1, x + 4 * t); simt::cp_async_commit(); simt::cp_async_wait<0>(); __syncthreads(); o[t] = x[255 - t]; }
__global__ void ldmatrix_no_syncwarp(float* o, const float* x) { DYN_SHARED(sm); auto* s = sm.take<__nv_bfloat16>(256); int t = threadIdx.x; o[t] = x[255 - t]; if (t < 32) { for (int i = 0; i < 8; ++i) s[t * 8 + i] = __float2bfloat16(1.f); uint32_t r[4]; simt::ldmatrix_x4(r, s + ((t + 1) & 31) * 8); if (r[0] != 0x3f803f80u) o[t] = 0; } }
__global__ void ldmatrix_misaligned(float* o, const float* x) { DYN_SHARED(sm); auto* s = sm.take<__nv_bfloat16>(512); int t = threadIdx.x; o[t] = x[255 - t]; if (t < 32) { for (int i = 0; i < 16; ++i) s[t * 16 + i] = __float2bfloat16(1.f); __syncwarp(); uint32_t r[4]; simt::ldmatrix_x4(r, s + t * 8 + 4); if (r[0] != 0x3f803f80u) o[t] = 0; } }
__global__ void ok_plain(float* o, const float* x) { o[threadIdx.x] = x[255 - threadIdx.x]; }
__global__ void deep_stack(float* o, const float* x) { volatile float big[40000]; big[threadIdx.x] = 1; big[39999] = 0; o[threadIdx.x] = x[255 - threadIdx.x] + big[39999]; }

int main(int argc, char** argv) {
  std::map<std::string, std::function<int()>> T; std::vector<std::string> order;
  std::vector<float> hx(256); for (int i = 0; i < 256; ++i) hx[static_cast<size_t>(i)] = static_cast<float>(i + 1);
  float *x, *o, *acc, *part; unsigned* tk; 
  auto setup = [&] { cudaMalloc(&x, 1024); cudaMalloc(&o, 1024); cudaMalloc(&acc, 8); cudaMalloc(&part, 1024); cudaMalloc(&tk, 4); cudaMemcpy(x, hx.data(), 1024, cudaMemcpyHostToDevice); cudaMemset(acc, 0, 8); cudaMemset(tk, 0, 4); };
  auto finish_rev = [&]() -> int { if (cudaDeviceSynchronize() != cudaSuccess) return 2; std::vector<float> h(256); cudaMemcpy(h.data(), o, 1024, cudaMemcpyDeviceToHost); for (int i = 0; i < 256; ++i) if (!(h[static_cast<size_t>(i)] == static_cast<float>(256 - i))) return 1; return 0; };
  auto finish_acc = [&](float want) -> int { if (cudaDeviceSynchronize() != cudaSuccess) return 2; float h; cudaMemcpy(&h, acc, 4, cudaMemcpyDeviceToHost); return h == want ? 0 : 1; };
#define REV(k, smem) T[#k] = [&] { if (simt::launch(&k, dim3(1), dim3(256), smem, nullptr, o, x) != cudaSuccess) return 2; return finish_rev(); }; order.push_back(#k);
  REV(ok_plain, 0) REV(ok_sync, 0) REV(ok_shfl_half, 0) REV(ok_syncwarp, 0) REV(ok_async, 1024)
  T["ok_block_atomic"] = [&] { simt::launch(&ok_block_atomic, dim3(8), dim3(32), 0, nullptr, acc, x); return finish_acc(36); }; order.push_back("ok_block_atomic");
  T["ok_last_block"] = [&] { simt::launch(&ok_last_block, dim3(8), dim3(32), 0, nullptr, acc, x, part, tk); return finish_acc(36); }; order.push_back("ok_last_block");
  REV(missing_sync, 0) REV(reuse_no_sync, 0) REV(skip_barrier, 0) REV(return_before_barrier, 0) REV(divergent_barrier, 0) REV(shfl_exited, 0) REV(shfl_divergent, 0) REV(shfl_mask_short, 0) REV(shfl_mask_differs, 0)
  REV(shfl_reads_outside, 0) REV(missing_syncwarp, 0) REV(store_off_by_one, 0) REV(load_off_by_one, 0) REV(shared_off_by_one, 0) REV(dyn_off_by_one, 1280) REV(dyn_too_small, 1280) REV(uninit_shared, 0) REV(uninit_global, 0) REV(misaligned, 0)
  T["host_pointer"] = [&] { static float h = 0; float* hp = static_cast<float*>(malloc(64)); hp[0] = 0; (void)h; simt::launch(&host_pointer, dim3(1), dim3(256), 0, nullptr, o, x, hp); int r = finish_rev(); free(hp); return r; }; order.push_back("host_pointer");
  REV(other_local, 0)
  T["block_accumulate"] = [&] { simt::launch(&block_accumulate, dim3(8), dim3(32), 0, nullptr, acc, x); return finish_acc(36); }; order.push_back("block_accumulate");
  T["block_order"] = [&] { simt::launch(&block_order, dim3(8), dim3(32), 0, nullptr, acc, x); return finish_acc(36); }; order.push_back("block_order");
  T["last_block_no_fence"] = [&] { simt::launch(&last_block_no_fence, dim3(8), dim3(32), 0, nullptr, acc, x, part, tk); return finish_acc(36); }; order.push_back("last_block_no_fence");
  REV(async_no_wait, 1024) REV(async_wait_wrong_n, 1024) REV(async_no_sync, 1024) REV(async_misaligned, 1024) REV(ldmatrix_no_syncwarp, 512) REV(ldmatrix_misaligned, 1024) REV(deep_stack, 0)
  T["use_after_free"] = [&] { float* y; cudaMalloc(&y, 1024); cudaFree(y); simt::launch(&ok_plain, dim3(1), dim3(256), 0, nullptr, y, x); return cudaDeviceSynchronize() ? 2 : 0; }; order.push_back("use_after_free");
  T["zero_grid"] = [&] { return simt::launch(&ok_plain, dim3(0), dim3(256), 0, nullptr, o, x) ? 2 : 0; }; order.push_back("zero_grid");
  T["block_2048"] = [&] { return simt::launch(&ok_plain, dim3(1), dim3(2048), 0, nullptr, o, x) ? 2 : 0; }; order.push_back("block_2048");
  T["host_buffer_reuse"] = [&] { simt::config().lazy_streams = true; cudaStream_t s; cudaStreamCreate(&s); std::vector<float> h = hx; cudaMemcpyAsync(x, h.data(), 1024, cudaMemcpyHostToDevice, s); for (auto& v : h) v = 0; /* overwritten before the copy is known done */
    simt::launch(&ok_plain, dim3(1), dim3(256), 0, s, o, x); cudaStreamSynchronize(s); int r = finish_rev(); cudaStreamDestroy(s); return r; }; order.push_back("host_buffer_reuse");
  T["missing_stream_wait"] = [&] { simt::config().lazy_streams = true; cudaStream_t a, b; cudaStreamCreate(&a); cudaStreamCreate(&b); cudaMemset(x, 0, 1024); cudaMemcpyAsync(x, hx.data(), 1024, cudaMemcpyHostToDevice, a); simt::launch(&ok_plain, dim3(1), dim3(256), 0, b, o, x); cudaStreamSynchronize(b); cudaStreamSynchronize(a); int r = finish_rev(); cudaStreamDestroy(a); cudaStreamDestroy(b); return r; }; order.push_back("missing_stream_wait");
  if (argc < 2) { for (auto& n : order) puts(n.c_str()); return 0; }
  simt::config().seed = argc > 2 ? static_cast<uint64_t>(atoll(argv[2])) : 1;
  if (!T.count(argv[1])) return 99;
  setup(); int r = T[argv[1]](); fflush(nullptr); _Exit(r);
}
