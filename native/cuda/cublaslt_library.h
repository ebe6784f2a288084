// cuBLASLt's functions, looked up at run time.
#pragma once

#include <cublasLt.h>

#include <string>

#include "cuda/opened_library.h"

namespace bertune::cuda {

class CublasLtLibrary {
 public:
  // Throws CUDA_UNAVAILABLE, saying what it looked for and where, and what to install.
  CublasLtLibrary();

  // The file, or the name by which the loader found it.
  const std::string& path() const { return library_.path(); }

  decltype(&cublasLtGetVersion) get_version;
  decltype(&cublasLtGetStatusName) get_status_name;
  decltype(&cublasLtCreate) create;
  decltype(&cublasLtDestroy) destroy;
  decltype(&cublasLtMatmul) matmul;
  decltype(&cublasLtMatmulAlgoGetHeuristic) algo_get_heuristic;
  decltype(&cublasLtMatmulAlgoCheck) algo_check;
  decltype(&cublasLtMatmulDescCreate) desc_create;
  decltype(&cublasLtMatmulDescDestroy) desc_destroy;
  decltype(&cublasLtMatmulDescSetAttribute) desc_set_attribute;
  decltype(&cublasLtMatrixLayoutCreate) layout_create;
  decltype(&cublasLtMatrixLayoutDestroy) layout_destroy;
  decltype(&cublasLtMatmulPreferenceCreate) preference_create;
  decltype(&cublasLtMatmulPreferenceDestroy) preference_destroy;
  decltype(&cublasLtMatmulPreferenceSetAttribute) preference_set_attribute;

 private:
  const OpenedLibrary library_;
};

}  // namespace bertune::cuda
