// The only header through which kernels see CUDA.
//
//   nvcc                     → simt_cuda.h: CUDA itself; for g++, which compiles what has no kernels, without what kernels call
//   g++ -DBERTUNE_EMULATED   → test/simt/simt_emulated.h: the same vocabulary on the CPU, for tests
//
// Besides CUDA's own spelling for everything that CUDA has, both provide:
//   SHARED(name, T[..])                     a static __shared__ array, aligned to 16 bytes
//   DYN_SHARED(sm); sm.take<T>(n)           dynamic shared memory, carved into arrays, each aligned to 16 bytes
//   simt::smem_bytes<T>(n)                  what take<T>(n) uses
//   simt::launch(&kernel, grid, block, smem, {stream, overlaps}, args...)
//   simt::wait_for_previous()               what every kernel begins with, see below
//   simt::mma_m16n8k16_bf16, ldmatrix_x{2,4}[_trans], cp_async16 / cp_async_commit / cp_async_wait<N>
//
// Launches that overlap (CUDA's programmatic dependent launch, from capability 9.0 on): the blocks of a kernel may take
// their places while the kernel ahead of it, in the stream or in a graph, still runs. They stop at wait_for_previous()
// until all that this kernel depends on has ended and what it wrote can be seen. Results stay what they are, because
//
// - every thread calls it first: before it touches global memory, where row counts, tickets and the step's state are as
//   well, and before any return. Only what is passed by value may be read earlier.
// - a kernel therefore ends after all those ahead of it, so that the next one need wait for this one alone.
// - no pointer is __restrict__: where one is const as well, the compiler may move reads through it ahead of the wait.
//
// Behind the wait, each block gives leave for the next kernel to start; it does once all blocks have. By then all blocks
// of this kernel run, so none can lose its place to one that waits, nor can two kernels wait for each other; the block
// that finishes last, and sums up what the others left, is no exception. If blocks gave leave before the wait, kernels
// would queue up on the GPU; as it is, blocks of one kernel at most wait there. What they cost: their registers and shared
// memory are out of reach of other streams, and they take what room there is rather than spread evenly.
//
// Copies, fills and the kernels of cuBLASLt and NCCL start when all ahead of them has ended, as ever. Ours behind them wait
// as they do behind each other.
#pragma once

#if defined(BERTUNE_EMULATED)
#include "simt_emulated.h"
#else
#include "cuda/simt_cuda.h"
#endif
