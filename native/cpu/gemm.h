// Matrix products by the system's BLAS, or by oneDNN where that is faster, on the calling thread alone.
//
//   c (m,n) = alpha · op(a) (m,k) · op(b) (k,n) + beta · c
//
// Row-major; lda, ldb, ldc are distances between the stored rows. op(x) is xᵀ where transposed. c is not read when
// beta is 0. Nothing happens when m or n is 0; with k = 0 the product is zero.
#pragma once

namespace bertune {

template <typename T>
void gemm(bool transpose_a, bool transpose_b, int m, int n, int k, T alpha, const T* a, int lda, const T* b, int ldb,
          T beta, T* c, int ldc);

// The same by the BLAS, whatever the sizes.
template <typename T>
void blas_gemm(bool transpose_a, bool transpose_b, int m, int n, int k, T alpha, const T* a, int lda, const T* b,
               int ldb, T beta, T* c, int ldc);

// blas_info() of core/device.h is defined beside it.

}  // namespace bertune
