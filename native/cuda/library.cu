// The table of core/library.h over the CUDA backend, and the one symbol that this library exports.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <new>
#include <string>

#include "core/library.h"
#include "cuda/check.h"
#include "cuda/cuda_backend.h"
#include "cuda/gemm.h"

namespace bertune::cuda {
namespace {

Backend& backend_of(BackendHandle* handle) { return *reinterpret_cast<Backend*>(handle); }

void fail(LibraryFailure* failure, const char* code, const char* message) {
  std::snprintf(failure->code, sizeof failure->code, "%s", code);
  std::snprintf(failure->message, sizeof failure->message, "%s", message);
}

// Runs `body`; no exception leaves the library.
template <typename Body>
void guard(LibraryFailure* failure, Body&& body) {
  failure->code[0] = '\0';
  try {
    body();
  } catch (const Error& error) {
    fail(failure, error.code().c_str(), error.what());
  } catch (const std::bad_alloc&) {
    fail(failure, "OUT_OF_MEMORY", "Expected memory of the host for a call but the system has none");
  } catch (const std::exception& error) {
    fail(failure, "INTERNAL", error.what());
  } catch (...) {
    fail(failure, "INTERNAL", "An exception of unknown type");
  }
}

// Tensor cores with bf16, cp.async: Ampere and later.
constexpr int kLeastCapability = 80;

[[noreturn]] void refuse(const std::string& why) { throw Error("CUDA_UNAVAILABLE", why); }

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

void describe_device(LibraryDevice& device) {
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
  cudaDeviceProp properties;
  BERTUNE_CUDA(cudaGetDeviceProperties(&properties, 0));
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

BackendHandle* create(const char* precision, BackendTraits* traits, LibraryFailure* failure) {
  Backend* backend = nullptr;
  guard(failure, [&] {
    backend = make_cuda_backend(precision_of(precision)).release();
    *traits = {backend->real_size(),          backend->acc_size(),      backend->master_size(),
               backend->weights_are_master(), backend->max_head_size(), backend->run_ahead()};
  });
  return reinterpret_cast<BackendHandle*>(backend);
}

MemoryHandle* allocate(BackendHandle* backend, size_t bytes, const char* what, void** data, LibraryFailure* failure) {
  Memory* memory = nullptr;
  guard(failure, [&] {
    memory = backend_of(backend).allocate(bytes, what);
    *data = memory->data();
  });
  return reinterpret_cast<MemoryHandle*>(memory);
}

int replay(BackendHandle* backend, const RecordingKey* key, LibraryFailure* failure) {
  bool replayed = false;
  guard(failure, [&] { replayed = backend_of(backend).replay(*key); });
  return replayed;
}

LibraryTable make_table() {
  LibraryTable table{};
  table.version = kLibraryVersion;
  table.size = sizeof(LibraryTable);
  table.layout = library_layout();
  table.describe = [](LibraryDevice* device, LibraryFailure* failure) {
    guard(failure, [&] { describe_device(*device); });
  };
  table.create = create;
  table.destroy = [](BackendHandle* backend) { delete reinterpret_cast<Backend*>(backend); };
  table.allocate = allocate;
  table.release = [](MemoryHandle* memory) { delete reinterpret_cast<Memory*>(memory); };
  table.copy_in = [](BackendHandle* b, void* device, const void* host, size_t bytes, LibraryFailure* failure) {
    guard(failure, [&] { backend_of(b).copy_in(device, host, bytes); });
  };
  table.copy_out = [](BackendHandle* b, void* host, const void* device, size_t bytes, LibraryFailure* failure) {
    guard(failure, [&] { backend_of(b).copy_out(host, device, bytes); });
  };
  table.zero = [](BackendHandle* b, void* device, size_t bytes, LibraryFailure* failure) {
    guard(failure, [&] { backend_of(b).zero(device, bytes); });
  };
  table.write_weight = [](BackendHandle* b, Real* weight, Master* master, const void* host, Dtype dtype, int64_t count,
                          LibraryFailure* failure) {
    guard(failure, [&] { backend_of(b).write_weight(weight, master, host, dtype, count); });
  };
  table.read_weight = [](BackendHandle* b, void* host, Dtype dtype, const Real* weight, const Master* master,
                         int64_t count, LibraryFailure* failure) {
    guard(failure, [&] { backend_of(b).read_weight(host, dtype, weight, master, count); });
  };
  table.write_acc = [](BackendHandle* b, Acc* device, const void* host, Dtype dtype, int64_t count,
                       LibraryFailure* failure) {
    guard(failure, [&] { backend_of(b).write_acc(device, host, dtype, count); });
  };
  table.read_acc = [](BackendHandle* b, void* host, Dtype dtype, const Acc* device, int64_t count,
                      LibraryFailure* failure) {
    guard(failure, [&] { backend_of(b).read_acc(host, dtype, device, count); });
  };
  table.read_real = [](BackendHandle* b, void* host, Dtype dtype, const Real* device, int64_t count,
                       LibraryFailure* failure) {
    guard(failure, [&] { backend_of(b).read_real(host, dtype, device, count); });
  };
  table.reserve_workspace = [](BackendHandle* b, const BatchShape* largest, int columns, int64_t trainable,
                               LibraryFailure* failure) {
    guard(failure, [&] { backend_of(b).reserve_workspace(*largest, columns, trainable); });
  };
  table.workspace_bytes = [](BackendHandle* b) { return backend_of(b).workspace_bytes(); };
  table.device_memory = [](BackendHandle* b, DeviceMemory* memory, LibraryFailure* failure) {
    guard(failure, [&] { *memory = backend_of(b).device_memory(); });
  };
  table.pad = [](BackendHandle* b, BatchShape* shape) { *shape = backend_of(b).pad(*shape); };
  table.replay = replay;
  table.end_recording = [](BackendHandle* b, LibraryFailure* failure) {
    guard(failure, [&] { backend_of(b).end_recording(); });
  };
  table.forget_recordings = [](BackendHandle* b, LibraryFailure* failure) {
    guard(failure, [&] { backend_of(b).forget_recordings(); });
  };
  table.last_recording_nodes = [](BackendHandle* b) { return backend_of(b).last_recording_nodes(); };
  table.start_run = [](BackendHandle* b, LibraryFailure* failure) {
    guard(failure, [&] { backend_of(b).start_run(); });
  };
  table.begin_step = [](BackendHandle* b, const StepState* state, LibraryFailure* failure) {
    guard(failure, [&] { backend_of(b).begin_step(*state); });
  };
  table.gather_batch = [](BackendHandle* b, const GatherBatch* args, Batch* batch, LibraryFailure* failure) {
    guard(failure, [&] { backend_of(b).gather_batch(*args, *batch); });
  };
  table.synchronize = [](BackendHandle* b, LibraryFailure* failure) {
    guard(failure, [&] { backend_of(b).synchronize(); });
  };
  table.grad_norm = [](BackendHandle* b, const OptimizerSegment* segments, int count, Acc* norm,
                       LibraryFailure* failure) {
    guard(failure, [&] { backend_of(b).grad_norm(segments, count, norm); });
  };
  table.adamw = [](BackendHandle* b, const OptimizerSegment* segments, int count, const OptimizerSettings* settings,
                   const Acc* loss, LibraryFailure* failure) {
    guard(failure, [&] { backend_of(b).adamw(segments, count, *settings, loss); });
  };
#define BERTUNE_ENTRY(name, Arguments)                                                \
  table.name = [](BackendHandle* b, const Arguments* args, LibraryFailure* failure) { \
    guard(failure, [&] { backend_of(b).name(*args); });                               \
  };
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
