// Launches over the rows of a table of which few need work: each block looks at 32 rows, one a lane, and its threads
// then share those that do.
#pragma once

#include "cuda/context.h"
#include "cuda/reduce.cuh"

namespace bertune::cuda {

constexpr int kRowColumns = 4;  // neighbors that a thread takes at a time

// Neighbors are often met together, so a block's rows are as many rows apart as there are blocks; and these are odd in
// number, so that a block has no two of the rows that are a power of two apart.
inline unsigned row_blocks(int rows) { return ceil_div(rows, 32) | 1u; }
// For rows of C columns; a multiple of 32.
inline unsigned row_threads(int C) {
  const unsigned threads = ceil_div(C, 32 * kRowColumns) * 32;
  return threads < 256 ? threads : 256;
}

__device__ __forceinline__ int block_row(int lane) {
  return static_cast<int>(blockIdx.x) + lane * static_cast<int>(gridDim.x);
}
__device__ __forceinline__ int lane_row() { return block_row(static_cast<int>(threadIdx.x & 31)); }

// Calls work(lane) on all threads for each of the lanes whose rows need it.
template <typename Work>
__device__ __forceinline__ void for_lanes(unsigned lanes, const Work& work) {
  for (; lanes != 0; lanes &= lanes - 1) work(__ffs(static_cast<int>(lanes)) - 1);
}

// Calls work(column) for the thread's columns of a row, kRowColumns at a time.
template <typename Work>
__device__ __forceinline__ void for_row_columns(int C, const Work& work) {
  for (int column = static_cast<int>(threadIdx.x) * kRowColumns; column < C;
       column += static_cast<int>(blockDim.x) * kRowColumns) {
    work(column);
  }
}

}  // namespace bertune::cuda
