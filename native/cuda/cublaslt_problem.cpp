#include "cuda/cublaslt_problem.h"

#include <cstdio>

namespace bertune::cuda {
namespace {

cudaDataType_t data_type(Element element) { return element == Element::kBf16 ? CUDA_R_16BF : CUDA_R_32F; }

const char* name_of(Element element) { return element == Element::kBf16 ? "bf16" : "f32"; }

}  // namespace

void check_blas(const CublasLtLibrary& library, cublasStatus_t status, const char* call) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw Error(status == CUBLAS_STATUS_ALLOC_FAILED ? "OUT_OF_MEMORY" : "CUDA_ERROR",
              std::string(library.get_status_name(status)) + " from " + call +
                  "; BERTUNE_GEMM=own multiplies without cuBLASLt");
}

ProductKey::ProductKey(const GemmArgs& args, bool tf32)
    : m(args.m),
      n(args.n),
      k(args.k),
      a_stride(args.a_stride),
      b_stride(args.b_stride),
      out_stride(args.out_stride),
      transpose_a(args.transpose_a),
      transpose_b(args.transpose_b),
      add(args.add),
      tf32(tf32 && args.inp == Element::kFloat),
      inp(args.inp),
      out_type(args.out_type),
      bias(args.bias),
      activation(args.activation),
      activates(args.activates()),
      in_place(args.activated == args.out),
      is_slope(args.saved != nullptr) {}

std::string ProductKey::text() const {
  char text[256];
  std::snprintf(text, sizeof text, "%s-%s%s,%d,%d,%d,%s%s%s%s,%d,%d,%d", name_of(inp), name_of(out_type),
                tf32 ? "-tf32" : "", m, n, k, transpose_a ? "t" : "n", transpose_b ? "t" : "n", add ? "-add" : "",
                bias != nullptr ? "-bias" : "", a_stride, b_stride, out_stride);
  return text;
}

std::string ProductKey::activation_text() const {
  const char* kind = is_slope ? "slope" : in_place ? "in-place" : "activation";
  return text() + "," + kind + "-" + std::to_string(static_cast<int>(activation));
}

Problem::Problem(const CublasLtLibrary& library, const ProductKey& key)
    : library_(library),
      desc_(library.desc_destroy),
      a_(library.layout_destroy),
      b_(library.layout_destroy),
      out_(library.layout_destroy) {
  const cublasComputeType_t compute = key.tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
  check_blas(library, library.desc_create(desc_.address(), compute, CUDA_R_32F), "cublasLtMatmulDescCreate");
  const cublasOperation_t first = key.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N;
  const cublasOperation_t second = key.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N;
  set(CUBLASLT_MATMUL_DESC_TRANSA, first);
  set(CUBLASLT_MATMUL_DESC_TRANSB, second);
  if (key.bias != nullptr) {
    set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
    set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, key.bias);
  }
  // Stored rows (r,c) are the column-major (c,r).
  key.transpose_b ? create(b_, key.inp, key.k, key.n, key.b_stride) : create(b_, key.inp, key.n, key.k, key.b_stride);
  key.transpose_a ? create(a_, key.inp, key.m, key.k, key.a_stride) : create(a_, key.inp, key.k, key.m, key.a_stride);
  create(out_, key.out_type, key.n, key.m, key.out_stride);
}

template <typename Value>
void Problem::set(cublasLtMatmulDescAttributes_t attribute, const Value& value) {
  check_blas(library_, library_.desc_set_attribute(desc_.get(), attribute, &value, sizeof value),
             "cublasLtMatmulDescSetAttribute");
}

void Problem::create(Owned<cublasLtMatrixLayout_t>& layout, Element type, int rows, int columns, int stride) {
  check_blas(library_, library_.layout_create(layout.address(), data_type(type), rows, columns, stride),
             "cublasLtMatrixLayoutCreate");
}

}  // namespace bertune::cuda
