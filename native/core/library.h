// The contract between the addon and a library that holds a backend: one exported C symbol, which returns a table of
// plain functions. No C++ object, no exception and no type of the device crosses it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "core/backend.h"
#include "core/operations.h"

namespace bertune {

// Why a call failed; an empty code: it did not.
struct LibraryFailure {
  char code[32];
  char message[992];
};

// The device that the library runs on.
struct LibraryDevice {
  char name[256];
  uint64_t total_memory;   // bytes
  int capability;          // 10 · major + minor
  int driver_version;      // of CUDA, 1000 · major + 10 · minor
  int runtime_version;     // the same
  char blas_version[64];   // "" where the library is missing
  char blas_missing[512];  // where it was looked for, then
};

// What does not change over a backend's life.
struct BackendTraits {
  uint64_t real_size, acc_size, master_size;
  int weights_are_master, max_head_size, run_ahead;
};

struct BackendHandle;  // opaque: a Backend of the library
struct MemoryHandle;   // opaque: a Memory of the library

struct LibraryTable {
  uint32_t version;  // kLibraryVersion
  uint32_t size;     // sizeof(LibraryTable)
  uint64_t layout;   // library_layout()

  // Fails with CUDA_UNAVAILABLE, and says why, where there is no device that can be used.
  void (*describe)(LibraryDevice* device, LibraryFailure* failure);
  BackendHandle* (*create)(const char* precision, BackendTraits* traits, LibraryFailure* failure);
  void (*destroy)(BackendHandle* backend);

  MemoryHandle* (*allocate)(BackendHandle* backend, size_t bytes, const char* what, void** data,
                            LibraryFailure* failure);
  void (*release)(MemoryHandle* memory);
  void (*copy_in)(BackendHandle* backend, void* device, const void* host, size_t bytes, LibraryFailure* failure);
  void (*copy_out)(BackendHandle* backend, void* host, const void* device, size_t bytes, LibraryFailure* failure);
  void (*zero)(BackendHandle* backend, void* device, size_t bytes, LibraryFailure* failure);
  void (*write_weight)(BackendHandle* backend, Real* weight, Master* master, const void* host, Dtype dtype,
                       int64_t count, LibraryFailure* failure);
  void (*read_weight)(BackendHandle* backend, void* host, Dtype dtype, const Real* weight, const Master* master,
                      int64_t count, LibraryFailure* failure);
  void (*write_acc)(BackendHandle* backend, Acc* device, const void* host, Dtype dtype, int64_t count,
                    LibraryFailure* failure);
  void (*read_acc)(BackendHandle* backend, void* host, Dtype dtype, const Acc* device, int64_t count,
                   LibraryFailure* failure);
  void (*read_real)(BackendHandle* backend, void* host, Dtype dtype, const Real* device, int64_t count,
                    LibraryFailure* failure);
  void (*reserve_workspace)(BackendHandle* backend, const BatchShape* largest, int columns, int64_t trainable,
                            LibraryFailure* failure);
  size_t (*workspace_bytes)(BackendHandle* backend);
  void (*device_memory)(BackendHandle* backend, DeviceMemory* memory, LibraryFailure* failure);
  void (*pad)(BackendHandle* backend, BatchShape* shape);
  int (*replay)(BackendHandle* backend, const RecordingKey* key, LibraryFailure* failure);
  void (*end_recording)(BackendHandle* backend, LibraryFailure* failure);
  void (*forget_recordings)(BackendHandle* backend, LibraryFailure* failure);
  size_t (*last_recording_nodes)(BackendHandle* backend);
  void (*start_run)(BackendHandle* backend, LibraryFailure* failure);
  void (*begin_step)(BackendHandle* backend, const StepState* state, LibraryFailure* failure);
  void (*gather_batch)(BackendHandle* backend, const GatherBatch* args, Batch* batch, LibraryFailure* failure);
  void (*synchronize)(BackendHandle* backend, LibraryFailure* failure);
  void (*grad_norm)(BackendHandle* backend, const OptimizerSegment* segments, int count, Acc* norm,
                    LibraryFailure* failure);
  void (*adamw)(BackendHandle* backend, const OptimizerSegment* segments, int count, const OptimizerSettings* settings,
                const Acc* loss, LibraryFailure* failure);
#define BERTUNE_ENTRY(name, Arguments) \
  void (*name)(BackendHandle * backend, const Arguments* args, LibraryFailure* failure);
  BERTUNE_OPERATIONS(BERTUNE_ENTRY)
#undef BERTUNE_ENTRY
};

// Raised whenever the table or a struct that it passes changes its meaning but not its size.
constexpr uint32_t kLibraryVersion = 1;

// The sizes of all structs that cross, folded into one number: two builds that disagree on it do not fit.
constexpr uint64_t library_layout() {
  uint64_t hash = 14695981039346656037ull;  // FNV-1a over the sizes
  const auto fold = [&hash](size_t size) { hash = (hash ^ size) * 1099511628211ull; };
  for (const size_t size :
       {sizeof(LibraryFailure), sizeof(LibraryDevice), sizeof(BackendTraits), sizeof(BatchShape), sizeof(DeviceMemory),
        sizeof(RecordingKey), sizeof(StepState), sizeof(GatherBatch), sizeof(Batch), sizeof(OptimizerSegment),
        sizeof(OptimizerSettings), sizeof(LowRankFactors), sizeof(LinearFactors)}) {
    fold(size);
  }
#define BERTUNE_FOLD(name, Arguments) fold(sizeof(Arguments));
  BERTUNE_OPERATIONS(BERTUNE_FOLD)
#undef BERTUNE_FOLD
  return hash;
}

using LibraryEntry = const LibraryTable* (*)();
constexpr const char* kLibrarySymbol = "bertune_cuda_library";

}  // namespace bertune
