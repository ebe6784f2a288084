// Sums over rows, column by column.
#pragma once

#include <algorithm>
#include <cstddef>

#include "cpu/parallel.h"

namespace bertune {

// sum (columns of it) = or, with `accumulate`, += Σ rows of values (rows, …), which lie `stride` apart. Rows are added one
// after another, so that the bits do not depend on how columns are shared out.
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
