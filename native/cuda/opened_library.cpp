#include "cuda/opened_library.h"

#include <dlfcn.h>

#include <cstdlib>

#include "core/error.h"
#include "cuda/pip_files.h"

namespace bertune::cuda {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

// What is tried, in order.
std::vector<std::string> candidates(const WantedLibrary& wanted) {
  const std::string chosen = environment(wanted.variable);
  if (!chosen.empty()) return {chosen};
  std::vector<std::string> all = wanted.names;
  for (const std::string& toolkit :
       {environment("CUDA_HOME"), environment("CUDA_PATH"), std::string("/usr/local/cuda")}) {
    if (toolkit.empty()) continue;
    for (const std::string& name : wanted.names) all.push_back(toolkit + "/lib64/" + name);
  }
  for (const std::string& name : wanted.names) {
    for (const std::string& file : pip_files(wanted.pip, name)) all.push_back(file);
  }
  return all;
}

}  // namespace

OpenedLibrary::OpenedLibrary(const WantedLibrary& wanted) : code_(wanted.code), advice_(wanted.advice) {
  std::string tried;
  for (const std::string& path : candidates(wanted)) {
    handle_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (handle_) {
      path_ = path;
      return;
    }
    const char* reason = dlerror();
    tried += (tried.empty() ? "" : "; ") + (reason ? std::string(reason) : path + ": unknown error");
  }
  throw Error(code_, std::string(wanted.words) + " was not found. " + advice_ + ". Looked for: " + tried);
}

// RTLD_NODELETE keeps the library itself: it holds on to the CUDA context, so that unloading it is not safe.
OpenedLibrary::~OpenedLibrary() { dlclose(handle_); }

void* OpenedLibrary::find(const char* name) const {
  void* function = dlsym(handle_, name);
  if (!function) throw Error(code_, path_ + " has no function " + name + ". " + advice_);
  return function;
}

}  // namespace bertune::cuda
