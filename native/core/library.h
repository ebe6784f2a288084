// The contract between the addon and a library with a backend: one exported C symbol, which returns a table of plain
// functions. No class object, no exception and no type of the device crosses it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "core/backend.h"

namespace bertune {

// Why a call failed; if the code is empty, it did not.
struct LibraryFailure {
  char code[32];
  char message[992];
};

// A device that the library runs on.
struct LibraryDevice {
  int count;  // of such devices
  char name[256];
  uint64_t total_memory;   // bytes
  int capability;          // 10 · major + minor
  int driver_version;      // of CUDA, 1000 · major + 10 · minor
  int runtime_version;     // the same
  char blas_version[64];   // the library that multiplies, and its version; "" if it is missing
  char blas_missing[512];  // if so, where it was looked for
};

struct BackendHandle;  // opaque: a Backend of the library
struct MemoryHandle;   // opaque: a Memory of the library

// The members of Backend, apart from its operations, that the table passes on as they are.
#define BERTUNE_CALLS(X) \
  X(real_size)           \
  X(acc_size)            \
  X(master_size)         \
  X(weights_are_master)  \
  X(max_head_size)       \
  X(copy_in)             \
  X(copy_out)            \
  X(zero)                \
  X(write_weight)        \
  X(read_weight)         \
  X(write_acc)           \
  X(read_acc)            \
  X(read_real)           \
  X(makes_compact)       \
  X(read_places)         \
  X(reserve_workspace)   \
  X(workspace_bytes)     \
  X(device_memory)       \
  X(pad)                 \
  X(replay)              \
  X(end_recording)       \
  X(forget_recordings)   \
  X(recordings)          \
  X(take_warning)        \
  X(sums_together)       \
  X(runs_aside)          \
  X(begin_aside)         \
  X(end_aside)           \
  X(wait_for)            \
  X(join_aside)          \
  X(run_ahead)           \
  X(start_run)           \
  X(begin_step)          \
  X(use_batch)           \
  X(join_ranks)          \
  X(reduce_gradients)    \
  X(sum_over_ranks)      \
  X(leave_ranks)         \
  X(synchronize)

// The plain function for a member of Backend: takes the backend and where to report a failure, then the same parameters.
template <typename Member>
struct LibraryCall;
template <typename Result, typename... Parameters>
struct LibraryCall<Result (Backend::*)(Parameters...)> {
  using Function = Result (*)(BackendHandle*, LibraryFailure*, Parameters...);
};
template <typename Result, typename... Parameters>
struct LibraryCall<Result (Backend::*)(Parameters...) const> : LibraryCall<Result (Backend::*)(Parameters...)> {};

struct LibraryTable {
  uint32_t version;  // kLibraryVersion
  uint32_t size;     // sizeof(LibraryTable)
  uint64_t layout;   // library_layout()

  // Devices are numbered from 0. Fails with CUDA_UNAVAILABLE, and says why, if that one cannot be used.
  void (*describe)(int ordinal, LibraryDevice* device, LibraryFailure* failure);
  BackendHandle* (*create)(int ordinal, const char* precision, LibraryFailure* failure);
  void (*destroy)(BackendHandle* backend);
  MemoryHandle* (*allocate)(BackendHandle* backend, LibraryFailure* failure, size_t bytes, const char* what,
                            void** data);
  void (*release)(MemoryHandle* memory);
#define BERTUNE_ENTRY(name, ...) LibraryCall<decltype(&Backend::name)>::Function name;
  BERTUNE_CALLS(BERTUNE_ENTRY)
  BERTUNE_OPERATIONS(BERTUNE_ENTRY)
#undef BERTUNE_ENTRY
};

// Raise it whenever the table or a struct that it passes changes in meaning but not in size.
constexpr uint32_t kLibraryVersion = 5;

// The sizes of all structs that cross, folded into one number: builds that disagree on it do not fit together.
constexpr uint64_t library_layout() {
  uint64_t hash = 14695981039346656037ull;  // FNV-1a over the sizes
  const auto fold = [&hash](size_t size) { hash = (hash ^ size) * 1099511628211ull; };
  for (const size_t size :
       {sizeof(LibraryFailure), sizeof(LibraryDevice), sizeof(BatchShape), sizeof(DeviceMemory), sizeof(RecordingKey),
        sizeof(RanksMeeting), sizeof(StepState), sizeof(RecordingCounts), sizeof(OptimizerSegment),
        sizeof(LowRankFactors), sizeof(LinearFactors), sizeof(RowSum), sizeof(Batch)}) {
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
