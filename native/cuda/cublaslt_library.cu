#include <dlfcn.h>

#include <cstdlib>
#include <vector>

#include "core/error.h"
#include "cuda/cublaslt_library.h"
#include "cuda/pip_files.h"

// What the loader is asked for. The emulated build names itself: see test/simt/cublaslt.
#if !defined(BERTUNE_CUBLASLT_NAMES)
#define BERTUNE_CUBLASLT_NAMES "libcublasLt.so.13", "libcublasLt.so.12"
#endif

namespace bertune::cuda {
namespace {

constexpr const char* kAdvice =
    "Install the CUDA toolkit (package libcublas), or `pip install nvidia-cublas` and put that Python on the PATH, or "
    "set BERTUNE_CUBLASLT to a libcublasLt.so.13";

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

// What is tried, in order. BERTUNE_CUBLASLT, where it is set, is all.
std::vector<std::string> candidates() {
  const std::string chosen = environment("BERTUNE_CUBLASLT");
  if (!chosen.empty()) return {chosen};
  const char* const names[] = {BERTUNE_CUBLASLT_NAMES};
  std::vector<std::string> all(std::begin(names), std::end(names));
  for (const std::string& toolkit :
       {environment("CUDA_HOME"), environment("CUDA_PATH"), std::string("/usr/local/cuda")}) {
    if (toolkit.empty()) continue;
    for (const char* name : names) all.push_back(toolkit + "/lib64/" + name);
  }
  for (const char* name : names) {
    for (const std::string& file : pip_files(name)) all.push_back(file);
  }
  return all;
}

}  // namespace

CublasLtLibrary::CublasLtLibrary() {
  open();
  look_up(get_version, "cublasLtGetVersion");
  look_up(get_status_name, "cublasLtGetStatusName");
  look_up(create, "cublasLtCreate");
  look_up(destroy, "cublasLtDestroy");
  look_up(matmul, "cublasLtMatmul");
  look_up(algo_get_heuristic, "cublasLtMatmulAlgoGetHeuristic");
  look_up(algo_check, "cublasLtMatmulAlgoCheck");
  look_up(desc_create, "cublasLtMatmulDescCreate");
  look_up(desc_destroy, "cublasLtMatmulDescDestroy");
  look_up(desc_set_attribute, "cublasLtMatmulDescSetAttribute");
  look_up(layout_create, "cublasLtMatrixLayoutCreate");
  look_up(layout_destroy, "cublasLtMatrixLayoutDestroy");
  look_up(preference_create, "cublasLtMatmulPreferenceCreate");
  look_up(preference_destroy, "cublasLtMatmulPreferenceDestroy");
  look_up(preference_set_attribute, "cublasLtMatmulPreferenceSetAttribute");
}

// RTLD_NODELETE keeps the library itself: it holds on to the CUDA context, so that unloading it is not safe.
CublasLtLibrary::~CublasLtLibrary() {
  if (handle_) dlclose(handle_);
}

void CublasLtLibrary::open() {
  std::string tried;
  for (const std::string& path : candidates()) {
    handle_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (handle_) {
      path_ = path;
      return;
    }
    const char* reason = dlerror();
    tried += (tried.empty() ? "" : "; ") + (reason ? std::string(reason) : path + ": unknown error");
  }
  throw Error("CUDA_UNAVAILABLE", "cuBLASLt, which multiplies matrices on the GPU, was not found. " +
                                      std::string(kAdvice) + ". Looked for: " + tried);
}

template <typename Function>
void CublasLtLibrary::look_up(Function& function, const char* name) {
  function = reinterpret_cast<Function>(dlsym(handle_, name));
  if (function) return;
  dlclose(handle_);  // a constructor that throws has no destructor
  throw Error("CUDA_UNAVAILABLE", path_ + " has no function " + name + ". " + kAdvice);
}

}  // namespace bertune::cuda
