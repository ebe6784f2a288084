// The only header through which kernels see CUDA.
//
//   nvcc                     → simt_cuda.h: CUDA itself
//   g++ -DBERTUNE_EMULATED   → test/simt/simt_emulated.h: the same vocabulary on the CPU, for tests
//
// Besides CUDA's own spelling for everything that CUDA has, both provide:
//   SHARED(name, T[..])                     a static __shared__ array, aligned to 16 bytes
//   DYN_SHARED(sm); sm.take<T>(n)           dynamic shared memory, carved into arrays, each aligned to 16 bytes
//   simt::smem_bytes<T>(n)                  what take<T>(n) uses
//   simt::launch(&kernel, grid, block, smem, stream, args...)
//   simt::mma_m16n8k16_bf16, ldmatrix_x{2,4}[_trans], cp_async16 / cp_async_commit / cp_async_wait<N>
#pragma once

#if defined(__CUDACC__)
#include "cuda/simt_cuda.h"
#elif defined(BERTUNE_EMULATED)
#include "simt_emulated.h"
#else
#error "kernel sources need nvcc, or a C++ compiler with -DBERTUNE_EMULATED"
#endif
