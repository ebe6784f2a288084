// A product as cuBLASLt takes it: what is multiplied, and how the matrices lie in memory.
#pragma once

#include <string>

#include "cuda/cublaslt_library.h"
#include "cuda/gemm.h"

namespace bertune::cuda {

// Throws CUDA_ERROR or OUT_OF_MEMORY if a call failed.
void check_blas(const CublasLtLibrary& library, cublasStatus_t status, const char* call);

// A handle of the library, destroyed by the function that belongs to it.
template <typename Handle>
class Owned {
 public:
  using Destroy = cublasStatus_t (*)(Handle);
  explicit Owned(Destroy destroy) : destroy_(destroy) {}
  ~Owned() {
    if (handle_) destroy_(handle_);
  }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  Handle get() const { return handle_; }
  Handle* address() { return &handle_; }

 private:
  Handle handle_ = nullptr;
  Destroy destroy_;
};

// Everything that descriptors are made of and that the choice of an algorithm depends on.
struct ProductKey {
  int m, n, k, a_stride, b_stride, out_stride;
  bool transpose_a, transpose_b, add, tf32;
  Element inp, out_type;
  const void* bias;
  // About its activation: see GemmArgs.
  Activation activation;
  bool activates, in_place, is_slope;

  ProductKey(const GemmArgs& args, bool tf32);
  auto operator<=>(const ProductKey&) const = default;

  // Names the choice of an algorithm, which depends on no pointer and no activation; without white space.
  std::string text() const;
  // Names the choice between the library and our own kernel.
  std::string activation_text() const;
};

// Descriptors. The library multiplies `first` by `second`: see gemm_cublaslt.cpp.
class Problem {
 public:
  Problem(const CublasLtLibrary& library, const ProductKey& key);

  cublasLtMatmulDesc_t desc() const { return desc_.get(); }
  cublasLtMatrixLayout_t first() const { return b_.get(); }
  cublasLtMatrixLayout_t second() const { return a_.get(); }
  cublasLtMatrixLayout_t out() const { return out_.get(); }

 private:
  template <typename Value>
  void set(cublasLtMatmulDescAttributes_t attribute, const Value& value);
  void create(Owned<cublasLtMatrixLayout_t>& layout, Element type, int rows, int columns, int stride);

  const CublasLtLibrary& library_;
  Owned<cublasLtMatmulDesc_t> desc_;
  Owned<cublasLtMatrixLayout_t> a_, b_, out_;
};

}  // namespace bertune::cuda
