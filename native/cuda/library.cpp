// The table of core/library.h over the CUDA backend, and the one symbol that this library exports.
#include "core/library.h"

#include <cstdio>
#include <exception>
#include <memory>
#include <new>
#include <string>

#include "cuda/check.h"
#include "cuda/cuda_backend.h"
#include "cuda/gemm.h"
#include "cuda/gpu.h"

namespace bertune::cuda {
namespace {

// What a BackendHandle is.
struct Owned {
  std::unique_ptr<Backend> backend;
  int gpu;
};

Owned* owned(BackendHandle* handle) { return reinterpret_cast<Owned*>(handle); }

// The backend, with the calling thread on its GPU.
Backend& backend_of(BackendHandle* handle) {
  BERTUNE_CUDA(use_gpu(owned(handle)->gpu));
  return *owned(handle)->backend;
}

void fail(LibraryFailure* failure, const char* code, const char* message) {
  std::snprintf(failure->code, sizeof failure->code, "%s", code);
  std::snprintf(failure->message, sizeof failure->message, "%s", message);
}

// Returns what `body` does, or nothing of meaning where it throws: no exception leaves the library.
template <typename Body>
auto guard(LibraryFailure* failure, Body&& body) -> decltype(body()) {
  failure->code[0] = '\0';
  try {
    return body();
  } catch (const Error& error) {
    fail(failure, error.code().c_str(), error.what());
  } catch (const std::bad_alloc&) {
    fail(failure, "OUT_OF_MEMORY", "Expected memory of the host for a call but the system has none");
  } catch (const std::exception& error) {
    fail(failure, "INTERNAL", error.what());
  } catch (...) {
    fail(failure, "INTERNAL", "An exception of unknown type");
  }
  return decltype(body())();
}

// The function of the table that calls `member`.
template <auto member, typename Result, typename... Parameters>
void set_entry(Result (*&entry)(BackendHandle*, LibraryFailure*, Parameters...)) {
  entry = [](BackendHandle* backend, LibraryFailure* failure, Parameters... parameters) -> Result {
    return guard(failure, [&]() -> Result { return (backend_of(backend).*member)(parameters...); });
  };
}

// Tensor cores with bf16, cp.async: Ampere and later.
constexpr int kLeastCapability = 80;

[[noreturn]] void refuse(const std::string& why) { throw Error("CUDA_UNAVAILABLE", why); }

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

void describe_device(int ordinal, LibraryDevice& device) {
  device = {};
  cudaDriverGetVersion(&device.driver_version);
  cudaRuntimeGetVersion(&device.runtime_version);
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess) {
    cudaGetLastError();
    refuse(std::string(cudaGetErrorString(status)) + "; the driver supports CUDA " +
           version_text(device.driver_version) + ", this build needs " + version_text(device.runtime_version));
  }
  if (count == 0) refuse("the driver shows no GPU");
  device.count = count;
  if (ordinal >= count) {
    refuse("the driver shows " + std::to_string(count) + (count == 1 ? " GPU" : " GPUs") + ", numbered from 0");
  }
  cudaDeviceProp properties;
  BERTUNE_CUDA(cudaGetDeviceProperties(&properties, ordinal));
  std::snprintf(device.name, sizeof device.name, "%s", properties.name);
  device.total_memory = properties.totalGlobalMem;
  device.capability = 10 * properties.major + properties.minor;
  if (device.capability < kLeastCapability) {
    refuse(std::string(properties.name) + " has compute capability " + std::to_string(properties.major) + "." +
           std::to_string(properties.minor) + ", 8.0 or later is needed");
  }
  const BlasLibrary blas = find_blas();
  std::snprintf(device.blas_version, sizeof device.blas_version, "%s", blas.version.c_str());
  std::snprintf(device.blas_missing, sizeof device.blas_missing, "%s", blas.missing.c_str());
}

Precision precision_of(const std::string& name) {
  if (name == "fp32") return Precision::kFp32;
  if (name == "tf32") return Precision::kTf32;
  if (name == "bf16") return Precision::kBf16;
  throw Error("INVALID_OPTION", "Expected precision fp32, tf32 or bf16 on CUDA but received " + name);
}

LibraryTable make_table() {
  LibraryTable table{};
  table.version = kLibraryVersion;
  table.size = sizeof(LibraryTable);
  table.layout = library_layout();
  table.describe = [](int ordinal, LibraryDevice* device, LibraryFailure* failure) {
    guard(failure, [&] { describe_device(ordinal, *device); });
  };
  table.create = [](int ordinal, const char* precision, LibraryFailure* failure) {
    return guard(failure, [&] {
      BERTUNE_CUDA(use_gpu(ordinal));
      auto created = std::make_unique<Owned>(Owned{make_cuda_backend(precision_of(precision)), ordinal});
      return reinterpret_cast<BackendHandle*>(created.release());
    });
  };
  table.destroy = [](BackendHandle* backend) {
    static_cast<void>(use_gpu(owned(backend)->gpu));
    delete owned(backend);
  };
  table.allocate = [](BackendHandle* backend, LibraryFailure* failure, size_t bytes, const char* what, void** data) {
    return guard(failure, [&] {
      Memory* memory = backend_of(backend).allocate(bytes, what);
      *data = memory->data();
      return reinterpret_cast<MemoryHandle*>(memory);
    });
  };
  table.release = [](MemoryHandle* memory) { delete reinterpret_cast<Memory*>(memory); };
#define BERTUNE_ENTRY(name, ...) set_entry<&Backend::name>(table.name);
  BERTUNE_CALLS(BERTUNE_ENTRY)
  BERTUNE_OPERATIONS(BERTUNE_ENTRY)
#undef BERTUNE_ENTRY
  return table;
}

}  // namespace
}  // namespace bertune::cuda

extern "C" __attribute__((visibility("default"))) const bertune::LibraryTable* bertune_cuda_library() {
  static const bertune::LibraryTable table = bertune::cuda::make_table();
  return &table;
}
