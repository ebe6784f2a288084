// Sums over rows, column by column.
#pragma once

#include <algorithm>
#include <cstddef>

#include "cpu/parallel.h"

namespace bertune {

// sum (a range of its columns) = Σ rows of values (rows, …), or += with `accumulate`. Rows lie `stride` apart and are added
// one after another, so that the bits do not depend on how columns are split.
template <typename T>
void sum_columns(Range columns, int rows, const T* values, size_t stride, bool accumulate, T* sum) {
  if (!accumulate) std::fill(sum + columns.begin, sum + columns.end, T(0));
  for (int row = 0; row < rows; ++row) {
    const T* from = values + row * stride;
#pragma omp simd
    for (int i = columns.begin; i < columns.end; ++i) sum[i] += from[i];
  }
}

}  // namespace bertune
