// cuBLASLt's functions, looked up at run time: what is missing is an error of ours that says so, and not the loader's.
#pragma once

#include <cublasLt.h>

#include <string>

namespace bertune::cuda {

class CublasLtLibrary {
 public:
  // Throws CUDA_UNAVAILABLE, with what was looked for and where, and what to install.
  CublasLtLibrary();
  ~CublasLtLibrary();
  CublasLtLibrary(const CublasLtLibrary&) = delete;
  CublasLtLibrary& operator=(const CublasLtLibrary&) = delete;

  // The file, or the name by which the loader found it.
  const std::string& path() const { return path_; }

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
  void open();
  template <typename Function>
  void look_up(Function& function, const char* name);

  void* handle_ = nullptr;
  std::string path_;
};

}  // namespace bertune::cuda
