#include "cpu/gemm.h"

#if defined(BERTUNE_HAS_ACCELERATE)
#include <Accelerate/Accelerate.h>
#else
#include <cblas.h>
#endif

#include <cstdint>
#include <type_traits>

#include "core/device.h"
#include "cpu/onednn.h"

namespace bertune {
namespace {

// Threads take rows, so each of them wants a BLAS that stays on its own core.
void use_one_blas_thread() {
#if defined(BERTUNE_HAS_OPENBLAS)
  static const bool once = (openblas_set_num_threads(1), true);
  static_cast<void>(once);
#endif
}

// Multiplications, and columns, from which oneDNN is faster than OpenBLAS (bench/kernels.js --products). On an AVX-512 core
// in float, m,n,k and GFLOP/s: 768,256,275 112 in place of 106; 256,32,275 116 in place of 93; 256,8,275 40 in place of 107;
// 64,64,32 68 in place of 75. An OpenBLAS that is older than the processor gives 26.
constexpr int64_t kFewMultiplications = 1 << 18;
constexpr int kFewColumns = 16;

}  // namespace

template <typename T>
void gemm(bool transpose_a, bool transpose_b, int m, int n, int k, T alpha, const T* a, int lda, const T* b, int ldb,
          T beta, T* c, int ldc) {
  if (m == 0 || n == 0) return;
  if constexpr (std::is_same_v<T, float>) {
    if (int64_t{m} * n * k >= kFewMultiplications && n > kFewColumns && onednn::has_sgemm()) {
      return onednn::sgemm(transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    }
  }
  blas_gemm(transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

template <typename T>
void blas_gemm(bool transpose_a, bool transpose_b, int m, int n, int k, T alpha, const T* a, int lda, const T* b,
               int ldb, T beta, T* c, int ldc) {
  use_one_blas_thread();
  const CBLAS_TRANSPOSE op_a = transpose_a ? CblasTrans : CblasNoTrans;
  const CBLAS_TRANSPOSE op_b = transpose_b ? CblasTrans : CblasNoTrans;
  if constexpr (std::is_same_v<T, float>) {
    cblas_sgemm(CblasRowMajor, op_a, op_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  } else {
    cblas_dgemm(CblasRowMajor, op_a, op_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  }
}

template void gemm(bool, bool, int, int, int, float, const float*, int, const float*, int, float, float*, int);
template void gemm(bool, bool, int, int, int, double, const double*, int, const double*, int, double, double*, int);
template void blas_gemm(bool, bool, int, int, int, float, const float*, int, const float*, int, float, float*, int);

BlasInfo blas_info() {
#if defined(BERTUNE_HAS_OPENBLAS)
  // "OpenBLAS 0.3.21 DYNAMIC_ARCH ..."
  const std::string config = openblas_get_config();
  const size_t begin = config.find(' ') + 1;
  return {"OpenBLAS", config.substr(begin, config.find(' ', begin) - begin), openblas_get_corename()};
#elif defined(BERTUNE_HAS_ACCELERATE)
  return {"Accelerate", "", ""};
#else
  return {"BLAS", "", ""};
#endif
}

}  // namespace bertune
