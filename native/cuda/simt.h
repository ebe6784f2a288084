// The only header through which kernels see CUDA.
//
//   nvcc                     → simt_cuda.h: CUDA itself
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
// Launches that overlap (programmatic dependent launch, from capability 9.0 on): the blocks of a kernel may take their
// places while the kernel ahead of it in the stream, or in the graph, still runs. They stop at wait_for_previous() until all
// kernels that they depend on have ended and their writes can be seen. That results stay what they are rests on this:
//
// - Every thread of every kernel calls it first: before it reads or writes global memory, tickets, row counts and the
//   step's state included, and before any return. What a kernel is given by value may be read earlier.
// - A kernel thus ends only after all ahead of it have. So it is enough that the next one waits for this one alone.
// - No pointer is __restrict__: the compiler may move a read through one that is const ahead of the wait.
//
// Behind the wait, each block lets the next kernel start. That happens once all blocks have done so or ended, so none of
// this kernel is left that could be kept from its place, and as each is behind its wait, those that stand and wait are
// of one kernel at most: they end up with a multiprocessor's registers and shared memory that nobody else in the stream
// wants, and cannot bring all to a halt, since the blocks that they wait for all run. The last block to finish, which
// sums what the others left, is no exception: it has long been running. Kernels of another stream may have to wait for
// these places until the one that runs has ended.
//
// What is no kernel of ours depends on the whole of what is ahead of it, as ever: copies, fills, products of cuBLASLt.
#pragma once

#if defined(__CUDACC__)
#include "cuda/simt_cuda.h"
#elif defined(BERTUNE_EMULATED)
#include "simt_emulated.h"
#else
#error "kernel sources need nvcc, or a C++ compiler with -DBERTUNE_EMULATED"
#endif
