// A library in the place of libbertune_cuda.so that finds what a broken installation has: see cuda-library.test.ts.
#include <cstdio>

#include "core/library.h"

#if !defined(VERSION)
#define VERSION bertune::kLibraryVersion
#endif
#if !defined(SIZE)
#define SIZE sizeof(bertune::LibraryTable)
#endif
#if !defined(LAYOUT)
#define LAYOUT bertune::library_layout()
#endif

namespace {

void fail(bertune::LibraryFailure* failure, const char* message) {
  std::snprintf(failure->code, sizeof failure->code, "CUDA_UNAVAILABLE");
  std::snprintf(failure->message, sizeof failure->message, "%s", message);
}

void describe(int, bertune::LibraryDevice* device, bertune::LibraryFailure* failure) {
  *device = {};
  failure->code[0] = failure->message[0] = '\0';
  device->driver_version = 12080;
  device->runtime_version = 12080;
#if defined(OLD_DRIVER)
  fail(failure, "CUDA driver version is insufficient; the driver supports CUDA 11.4, this build needs 12.8");
#elif defined(NO_GPU)
  fail(failure, "the driver shows no GPU");
#elif defined(NO_BLAS)
  static_cast<void>(fail);
  std::snprintf(device->blas_missing, sizeof device->blas_missing, "libcublasLt.so.13 was not found");
#else
  static_cast<void>(fail);
#endif
}

}  // namespace

extern "C" __attribute__((visibility("default"))) const bertune::LibraryTable* bertune_cuda_library() {
#if defined(NO_TABLE)
  return nullptr;
#else
  static bertune::LibraryTable table{};
  table.version = VERSION;
  table.size = SIZE;
  table.layout = LAYOUT;
  table.describe = describe;
  return &table;
#endif
}
