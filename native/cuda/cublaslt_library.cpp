#include "cuda/cublaslt_library.h"

// What the loader is asked for. The emulated build names itself: see test/simt/cublaslt.
#if !defined(BERTUNE_CUBLASLT_NAMES)
#define BERTUNE_CUBLASLT_NAMES "libcublasLt.so.13", "libcublasLt.so.12"
#endif

namespace bertune::cuda {

CublasLtLibrary::CublasLtLibrary()
    : library_(
          {.code = "CUDA_UNAVAILABLE",
           .words = "cuBLASLt, which multiplies matrices on the GPU,",
           .advice =
               "Install the CUDA toolkit (package libcublas), or `pip install nvidia-cublas` and put that Python on "
               "the PATH, or set BERTUNE_CUBLASLT to a libcublasLt.so.13",
           .variable = "BERTUNE_CUBLASLT",
           .names = {BERTUNE_CUBLASLT_NAMES},
           .pip = {"cu13", "cublas"}}) {
  library_.look_up(get_version, "cublasLtGetVersion");
  library_.look_up(get_status_name, "cublasLtGetStatusName");
  library_.look_up(create, "cublasLtCreate");
  library_.look_up(destroy, "cublasLtDestroy");
  library_.look_up(matmul, "cublasLtMatmul");
  library_.look_up(algo_get_heuristic, "cublasLtMatmulAlgoGetHeuristic");
  library_.look_up(algo_check, "cublasLtMatmulAlgoCheck");
  library_.look_up(desc_create, "cublasLtMatmulDescCreate");
  library_.look_up(desc_destroy, "cublasLtMatmulDescDestroy");
  library_.look_up(desc_set_attribute, "cublasLtMatmulDescSetAttribute");
  library_.look_up(layout_create, "cublasLtMatrixLayoutCreate");
  library_.look_up(layout_destroy, "cublasLtMatrixLayoutDestroy");
  library_.look_up(preference_create, "cublasLtMatmulPreferenceCreate");
  library_.look_up(preference_destroy, "cublasLtMatmulPreferenceDestroy");
  library_.look_up(preference_set_attribute, "cublasLtMatmulPreferenceSetAttribute");
}

}  // namespace bertune::cuda
