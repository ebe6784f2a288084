// A stand-in for cuBLASLt under the emulator, so that native/cuda/gemm_cublaslt.cpp itself is tested: it refuses what
// cuBLASLt refuses, and by settings.h fails where cuBLASLt may. While the calling thread captures, it does nothing but
// multiply: newer releases of cuBLASLt answer questions with CUBLAS_STATUS_INTERNAL_ERROR then.
#include <cublasLt.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <random>
#include <thread>
#include <utility>

#include "product.h"
#include "settings.h"

using stand_in::Matrix;
using stand_in::Settings;

// Algorithms are numbers behind this word: bytes that are not theirs are refused.
constexpr uint64_t kAlgorithmWord = 0x6265727475'6e65ull;
constexpr int64_t kAlignment = 16;  // of pointers and columns, for any algorithm
constexpr uintptr_t kWorkspaceAlignment = 256;
constexpr double kMicroseconds = 10;  // of any product

struct cublasLtContext {
  Settings settings;
  // Of the times. Launches of one algorithm behind each other are as fast as each other: noise comes in bursts.
  std::mt19937_64 random{settings.seed};
  uint64_t last_algorithm = ~uint64_t{0};
  double slowness = 1;
  bool is_first = true;  // no product has been asked for

  double microseconds(uint64_t algorithm) {
    if (algorithm != last_algorithm) slowness = 1 + settings.noise / 100 * std::normal_distribution<double>()(random);
    last_algorithm = algorithm;
    const bool is_faster = algorithm == static_cast<uint64_t>(settings.algorithms) / 2;
    return kMicroseconds * std::max(slowness, 0.1) * (is_faster ? 1 - settings.faster / 100 : 1);
  }
};

struct cublasLtMatmulDescOpaque {
  cublasComputeType_t compute;
  cudaDataType scale;
  cublasOperation_t transpose_a = CUBLAS_OP_N, transpose_b = CUBLAS_OP_N;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  const void* bias = nullptr;
};

struct cublasLtMatrixLayoutOpaque {
  Matrix matrix;
};

struct cublasLtMatmulPreferenceOpaque {
  uint64_t workspace = 0;
  uint32_t reductions = ~uint32_t{0};
  uint32_t alignments[4] = {256, 256, 256, 256};
};

namespace {

struct Problem {
  const cublasLtMatmulDescOpaque& desc;
  const Matrix &a, &b, &c, &d;
};

// Numbers of algorithms, as bytes.
uint64_t number_of(const cublasLtMatmulAlgo_t& algorithm) { return algorithm.data[1]; }

bool is_algorithm(const cublasLtContext& context, const cublasLtMatmulAlgo_t& algorithm) {
  return algorithm.data[0] == kAlgorithmWord &&
         number_of(algorithm) < static_cast<uint64_t>(context.settings.algorithms);
}

bool has_whole_columns(const Matrix& matrix) {
  return matrix.stride * static_cast<int64_t>(stand_in::element_bytes(matrix.type)) % kAlignment == 0;
}

cublasStatus_t check(const Problem& problem) {
  const auto& [desc, a, b, c, d] = problem;
  const int64_t a_rows = desc.transpose_a == CUBLAS_OP_T ? a.columns : a.rows;
  const int64_t a_columns = desc.transpose_a == CUBLAS_OP_T ? a.rows : a.columns;
  const int64_t b_rows = desc.transpose_b == CUBLAS_OP_T ? b.columns : b.rows;
  const int64_t b_columns = desc.transpose_b == CUBLAS_OP_T ? b.rows : b.columns;
  if (a_rows != d.rows || b_columns != d.columns || a_columns != b_rows) return CUBLAS_STATUS_INVALID_VALUE;
  if (c.rows != d.rows || c.columns != d.columns || c.type != d.type) return CUBLAS_STATUS_INVALID_VALUE;
  if (desc.epilogue == CUBLASLT_EPILOGUE_BIAS && desc.bias == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  const bool is_bf16 = a.type == CUDA_R_16BF;
  if (a.type != b.type || desc.scale != CUDA_R_32F) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (!is_bf16 && d.type != CUDA_R_32F) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (is_bf16 && desc.compute != CUBLAS_COMPUTE_32F) return CUBLAS_STATUS_NOT_SUPPORTED;
  for (const Matrix* matrix : {&a, &b, &c, &d}) {
    if (!has_whole_columns(*matrix)) return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  // cuBLASLt takes any number of columns; this stands for whatever it has no algorithm for.
  return d.columns % 4 == 0 ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

bool is_aligned(const void* pointer, uintptr_t bytes) { return reinterpret_cast<uintptr_t>(pointer) % bytes == 0; }

template <typename Value>
cublasStatus_t set(Value& member, const void* value, size_t bytes) {
  if (bytes != sizeof member) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(&member, value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

template <typename Object, typename... Arguments>
cublasStatus_t create(Object** object, Arguments... arguments) {
  *object = new (std::nothrow) Object{arguments...};
  return *object ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_ALLOC_FAILED;
}

template <typename Object>
cublasStatus_t destroy(Object* object) {
  delete object;
  return CUBLAS_STATUS_SUCCESS;
}

}  // namespace

size_t cublasLtGetVersion() { return 130101; }

const char* cublasLtGetStatusName(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED:
      return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_ARCH_MISMATCH:
      return "CUBLAS_STATUS_ARCH_MISMATCH";
    case CUBLAS_STATUS_MAPPING_ERROR:
      return "CUBLAS_STATUS_MAPPING_ERROR";
    case CUBLAS_STATUS_EXECUTION_FAILED:
      return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_INTERNAL_ERROR:
      return "CUBLAS_STATUS_INTERNAL_ERROR";
    case CUBLAS_STATUS_NOT_SUPPORTED:
      return "CUBLAS_STATUS_NOT_SUPPORTED";
  }
  return "CUBLAS_STATUS_UNKNOWN";
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) { return create(handle, stand_in::read_settings()); }
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) { return destroy(handle); }

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* desc, cublasComputeType_t compute, cudaDataType scale) {
  if (compute != CUBLAS_COMPUTE_32F && compute != CUBLAS_COMPUTE_32F_FAST_TF32) return CUBLAS_STATUS_INVALID_VALUE;
  return create(desc, compute, scale);
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc) { return destroy(desc); }

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t attribute,
                                              const void* value, size_t bytes) {
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
      return set(desc->transpose_a, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB:
      return set(desc->transpose_b, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      return set(desc->epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      return set(desc->bias, value, bytes);
  }
  return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type, uint64_t rows,
                                          uint64_t columns, int64_t leading_dimension) {
  if (rows == 0 || columns == 0 || leading_dimension < static_cast<int64_t>(rows)) return CUBLAS_STATUS_INVALID_VALUE;
  return create(layout, Matrix{type, static_cast<int64_t>(rows), static_cast<int64_t>(columns), leading_dimension});
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) { return destroy(layout); }

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) { return create(preference); }
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) { return destroy(preference); }

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute, const void* value,
                                                    size_t bytes) {
  switch (attribute) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
      return set(preference->workspace, value, bytes);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
      return set(preference->reductions, value, bytes);
    default:
      return set(preference->alignments[attribute - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES], value, bytes);
  }
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int requested,
                                              cublasLtMatmulHeuristicResult_t results[], int* returned) {
  *returned = 0;
  if (simt::this_thread_captures() || handle->settings.fails == "heuristic") return CUBLAS_STATUS_INTERNAL_ERROR;
  const Problem problem{*desc, a->matrix, b->matrix, c->matrix, d->matrix};
  if (const cublasStatus_t status = check(problem)) return status;
  for (const uint32_t alignment : preference->alignments) {
    if (alignment < kAlignment) return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  if (handle->settings.workspace > preference->workspace) return CUBLAS_STATUS_NOT_SUPPORTED;
  // Sums in place have no order that could be repeated; whoever does not forbid them gets no product at all.
  if (preference->reductions & CUBLASLT_REDUCTION_SCHEME_INPLACE) return CUBLAS_STATUS_INVALID_VALUE;
  for (int i = 0; i < std::min(requested, handle->settings.algorithms); ++i) {
    results[i] = {
        {{kAlgorithmWord, static_cast<uint64_t>(i)}}, handle->settings.workspace, CUBLAS_STATUS_SUCCESS, 1.f, {}};
    ++*returned;
  }
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a,
                                       cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                       const cublasLtMatmulAlgo_t* algorithm, cublasLtMatmulHeuristicResult_t* result) {
  if (simt::this_thread_captures() || handle->settings.fails == "check") return CUBLAS_STATUS_INTERNAL_ERROR;
  if (!is_algorithm(*handle, *algorithm)) return CUBLAS_STATUS_INVALID_VALUE;
  *result = {
      *algorithm, handle->settings.workspace, check({*desc, a->matrix, b->matrix, c->matrix, d->matrix}), 1.f, {}};
  return result->state;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void* alpha, const void* a,
                              cublasLtMatrixLayout_t a_layout, const void* b, cublasLtMatrixLayout_t b_layout,
                              const void* beta, const void* c, cublasLtMatrixLayout_t c_layout, void* d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t* algorithm, void* workspace,
                              size_t workspace_bytes, cudaStream_t stream) {
  const Settings& settings = handle->settings;
  const bool is_first = std::exchange(handle->is_first, false);
  const bool fails = settings.fails == "product" || (settings.fails == "first" && is_first) ||
                     (settings.fails == "capture" && simt::this_thread_captures());
  if (fails) return CUBLAS_STATUS_INTERNAL_ERROR;
  const Problem problem{*desc, a_layout->matrix, b_layout->matrix, c_layout->matrix, d_layout->matrix};
  if (const cublasStatus_t status = check(problem)) return status;
  if (c != d || !is_algorithm(*handle, *algorithm)) return CUBLAS_STATUS_INVALID_VALUE;
  for (const void* pointer : {a, b, static_cast<const void*>(d)}) {
    if (!is_aligned(pointer, kAlignment)) return CUBLAS_STATUS_INVALID_VALUE;
  }
  if (workspace_bytes < settings.workspace || !is_aligned(workspace, kWorkspaceAlignment)) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  const uint64_t number = number_of(*algorithm);
  if (number < static_cast<uint64_t>(settings.refuse)) return CUBLAS_STATUS_NOT_SUPPORTED;

  const stand_in::Product product{.a_layout = problem.a,
                                  .b_layout = problem.b,
                                  .d_layout = problem.d,
                                  .transpose_a = desc->transpose_a == CUBLAS_OP_T,
                                  .transpose_b = desc->transpose_b == CUBLAS_OP_T,
                                  .tf32 = desc->compute == CUBLAS_COMPUTE_32F_FAST_TF32,
                                  .alpha = *static_cast<const float*>(alpha),
                                  .beta = *static_cast<const float*>(beta),
                                  .a = a,
                                  .b = b,
                                  .bias = desc->epilogue == CUBLASLT_EPILOGUE_BIAS ? desc->bias : nullptr,
                                  .d = d};
  const auto task = [=] {
    const size_t used = handle->settings.workspace;
    if (used > 0) simt::check_device_range(workspace, used, true);
    if (handle->settings.computes) stand_in::multiply(product);
    simt::pass_time(handle->microseconds(number));
  };
  return simt::host_task(stream, task, "cublasLtMatmul") == cudaSuccess ? CUBLAS_STATUS_SUCCESS
                                                                        : CUBLAS_STATUS_EXECUTION_FAILED;
}
