// Products of small matrices in plain loops that the compiler keeps in vector registers.
//
//   c (m,n) = a (m,k) · b (k,n), or c += with `add`
//
// A BLAS call packs its operands and takes a microsecond or two before it does anything; by then the matrices of one head
// of one short text are done. Measured on an AVX-512 core (Zen 5) in float: (22,64)·22 takes 0.33 µs against OpenBLAS's
// 0.9, (64,64)·64 takes 2.5 µs against 5.2.
//
// Element (i, p) of a is a[i·a_row + p·a_column], so a may be stored by rows or by columns; rows of b and c are contiguous,
// ldb and ldc apart. Sums over k run in order, so a value does not depend on how the matrix was cut into tiles.
#pragma once

namespace bertune {
namespace small_gemm_detail {

// The tile of c that fits the vector registers: kRows rows of kWidest elements.
#if defined(__AVX512F__)
constexpr int kRows = 8;
template <typename T>
constexpr int kWidest = 2 * 64 / static_cast<int>(sizeof(T));
#else
constexpr int kRows = 6;
template <typename T>
constexpr int kWidest = 2 * 32 / static_cast<int>(sizeof(T));
#endif

template <typename T>
struct Product {
  bool add;
  int m, n, k;
  const T* a;
  int a_row, a_column;
  const T* b;
  int ldb;
  T* c;
  int ldc;
};

// Rows i .. i + kTileRows, columns j .. j + kColumns.
template <int kTileRows, int kColumns, typename T>
void tile(const Product<T>& x, int i, int j) {
  const T* a = x.a + i * x.a_row;
  const T* b = x.b + j;
  T* c = x.c + i * x.ldc + j;
  T sum[kTileRows][kColumns] = {};
  if (x.add) {
    for (int r = 0; r < kTileRows; ++r) {
#pragma omp simd
      for (int s = 0; s < kColumns; ++s) sum[r][s] = c[r * x.ldc + s];
    }
  }
  for (int p = 0; p < x.k; ++p) {
    for (int r = 0; r < kTileRows; ++r) {
      const T factor = a[r * x.a_row + p * x.a_column];
#pragma omp simd
      for (int s = 0; s < kColumns; ++s) sum[r][s] += factor * b[p * x.ldb + s];
    }
  }
  for (int r = 0; r < kTileRows; ++r) {
#pragma omp simd
    for (int s = 0; s < kColumns; ++s) c[r * x.ldc + s] = sum[r][s];
  }
}

// The `rows` ≤ kTileRows rows from i on.
template <int kTileRows, int kColumns, typename T>
void tile_of(int rows, const Product<T>& x, int i, int j) {
  if (rows == kTileRows) {
    tile<kTileRows, kColumns>(x, i, j);
  } else if constexpr (kTileRows > 1) {
    tile_of<kTileRows - 1, kColumns>(rows, x, i, j);
  }
}

// Columns from j on: tiles of kColumns, then what is left in narrower ones.
template <int kColumns, typename T>
void columns_from(int j, int rows, const Product<T>& x, int i) {
  for (; j + kColumns <= x.n; j += kColumns) tile_of<kRows, kColumns>(rows, x, i, j);
  if constexpr (kColumns > 1) {
    if (j < x.n) columns_from<kColumns / 2>(j, rows, x, i);
  }
}

}  // namespace small_gemm_detail

// See the top of the file. Offsets within a matrix must fit an int.
template <typename T>
void small_gemm(bool add, int m, int n, int k, const T* a, int a_row, int a_column, const T* b, int ldb, T* c,
                int ldc) {
  namespace detail = small_gemm_detail;
  const detail::Product<T> x{add, m, n, k, a, a_row, a_column, b, ldb, c, ldc};
  for (int i = 0; i < m; i += detail::kRows) {
    detail::columns_from<detail::kWidest<T>>(0, m - i < detail::kRows ? m - i : detail::kRows, x, i);
  }
}

}  // namespace bertune
