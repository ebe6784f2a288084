// A stand-in for NCCL under the emulator, so that native/cuda/nccl_ranks.cpp itself is tested: processes of one machine add up
// through shared memory. It refuses what NCCL refuses, and as NCCL between GPUs of one machine it does not notice that a rank
// is lost: its operations just never end.
//
// BERTUNE_EMULATED_NCCL, read when an id or a communicator is made, says where it fails, by the numbers of ncclResult_t:
//   id=2         no id can be made
//   init=5       communicators come to this
//   reduce=6@3   the third group of operations comes to this
//   version=N    what ncclGetVersion says
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>
#include <utility>
#include <vector>

#include "cuda/nccl_api.h"
#include "exchange.h"

#define STAND_IN extern "C" __attribute__((visibility("default")))

namespace {

struct NcclSettings {
  int id = 0, init = 0, reduce = 0, version = 22703;
  int at = 1;  // the group that fails

  NcclSettings() {
    const char* text = std::getenv("BERTUNE_EMULATED_NCCL");
    std::istringstream words(text ? text : "");
    for (std::string word; words >> word;) {
      if (std::sscanf(word.c_str(), "id=%d", &id) == 1 || std::sscanf(word.c_str(), "init=%d", &init) == 1 ||
          std::sscanf(word.c_str(), "version=%d", &version) == 1 ||
          std::sscanf(word.c_str(), "reduce=%d@%d", &reduce, &at) == 2) {
        continue;
      }
      std::fprintf(stderr, "BERTUNE_EMULATED_NCCL: expected a setting but received %s\n", word.c_str());
      std::abort();
    }
  }
};

// What operations under way share with their communicator, which may be gone before them.
struct State {
  State(const std::string& name, int rank, int size) : exchange(name, rank, size) {}
  stand_in::Exchange exchange;
  std::atomic<bool> is_aborted{false};
  int result = ncclSuccess;  // that does not go away
};

struct Operation {
  const void* inp;
  void* out;
  size_t count;
  ncclDataType_t type;
  ncclComm_t comm;
  cudaStream_t stream;
};

// Of the thread that is in a group.
thread_local int group_depth = 0;
thread_local std::vector<Operation> group;
thread_local ncclResult_t group_result = ncclSuccess;

ncclResult_t refuse_in_group(ncclResult_t result) {
  group_result = result;
  return result;
}

}  // namespace

struct ncclComm {
  NcclSettings settings;
  std::shared_ptr<State> state;
  int groups = 0;
  bool is_initialised = false;
  int polls = 0;  // until what a call began has begun: NCCL does so on another thread
};

namespace {

size_t bytes_of(const Operation& operation) { return operation.count * (operation.type == ncclFloat64 ? 8 : 4); }

// copied from the device → added up → copied back
ncclResult_t start(const Operation& operation) {
  const std::shared_ptr<State> state = operation.comm->state;
  const size_t bytes = bytes_of(operation);
  const auto values = std::make_shared<std::vector<char>>(bytes);
  const bool is_double = operation.type == ncclFloat64;
  const uint64_t signature = operation.count * 2 + is_double;
  const void* inp = operation.inp;
  void* out = operation.out;
  const cudaError_t errors[] = {simt::host_task(
                                    operation.stream,
                                    [=] {
                                      simt::check_device_range(inp, bytes, false);
                                      std::memcpy(values->data(), inp, bytes);
                                      state->exchange.begin(values->data(), bytes, is_double, signature);
                                    },
                                    "ncclAllReduce"),
                                simt::wait_until(operation.stream,
                                                 [=] {
                                                   if (state->is_aborted) return true;
                                                   if (state->result != ncclSuccess) return false;
                                                   const bool is_done = state->exchange.advance();
                                                   if (state->exchange.is_mismatched())
                                                     state->result = ncclInternalError;
                                                   return is_done;
                                                 }),
                                simt::host_task(
                                    operation.stream,
                                    [=] {
                                      if (state->is_aborted) return;
                                      simt::check_device_range(out, bytes, true);
                                      std::memcpy(out, values->data(), bytes);
                                    },
                                    "ncclAllReduce")};
  for (const cudaError_t error : errors) {
    if (error != cudaSuccess) return ncclUnhandledCudaError;
  }
  return ncclSuccess;
}

}  // namespace

STAND_IN ncclResult_t ncclGetVersion(int* version) {
  *version = NcclSettings().version;
  return ncclSuccess;
}

STAND_IN ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  if (const int result = NcclSettings().id) return static_cast<ncclResult_t>(result);
  std::string uuid;
  std::getline(std::ifstream("/proc/sys/kernel/random/uuid"), uuid);
  *id = {};
  std::snprintf(id->internal, sizeof id->internal, "/bertune-nccl-%s", uuid.c_str());
  return ncclSuccess;
}

STAND_IN ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int size, ncclUniqueId id, int rank,
                                             ncclConfig_t* config) {
  *comm = nullptr;
  const bool is_known = config->magic == 0xcafebeef && config->size >= sizeof *config && config->version >= 21400;
  if (!is_known || config->blocking != 0 || rank < 0 || rank >= size) return ncclInvalidArgument;
  *comm = new ncclComm;
  (*comm)->polls = 3;
  (*comm)->state = std::make_shared<State>(id.internal, rank, size);
  (*comm)->state->result = (*comm)->settings.init;
  return ncclInProgress;
}

STAND_IN ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* error) {
  if (comm->state->result != ncclSuccess) {
    *error = static_cast<ncclResult_t>(comm->state->result);
  } else if (!comm->state->exchange.is_complete() || comm->polls > 0) {
    comm->polls -= comm->polls > 0;
    *error = ncclInProgress;
  } else {
    comm->is_initialised = true;
    *error = ncclSuccess;
  }
  return ncclSuccess;
}

STAND_IN ncclResult_t ncclCommFinalize(ncclComm_t comm) {
  comm->polls = 1;
  return ncclInProgress;
}

STAND_IN ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  delete comm;
  return ncclSuccess;
}

STAND_IN ncclResult_t ncclCommAbort(ncclComm_t comm) {
  comm->state->is_aborted = true;
  delete comm;
  return ncclSuccess;
}

STAND_IN ncclResult_t ncclGroupStart() {
  ++group_depth;
  return ncclSuccess;
}

STAND_IN ncclResult_t ncclAllReduce(const void* inp, void* out, size_t count, ncclDataType_t type,
                                    ncclRedOp_t operation, ncclComm_t comm, cudaStream_t stream) {
  const bool is_known = (type == ncclFloat32 || type == ncclFloat64) && operation == ncclSum && count > 0;
  if (!is_known || group_depth == 0) return refuse_in_group(ncclInvalidArgument);
  // A call while another is in progress, or while the thread records.
  if (!comm->is_initialised || comm->polls > 0 || simt::this_thread_captures())
    return refuse_in_group(ncclInvalidUsage);
  group.push_back({inp, out, count, type, comm, stream});
  return ncclSuccess;
}

STAND_IN ncclResult_t ncclGroupEnd() {
  if (--group_depth > 0) return ncclSuccess;
  const std::vector<Operation> operations = std::exchange(group, {});
  if (const ncclResult_t refused = std::exchange(group_result, ncclSuccess)) return refused;
  if (operations.empty()) return ncclSuccess;
  ncclComm& comm = *operations.front().comm;
  if (++comm.groups == comm.settings.at) comm.state->result = comm.settings.reduce;
  for (const Operation& operation : operations) {
    if (const ncclResult_t result = start(operation)) return result;
  }
  comm.polls = 2;
  return ncclInProgress;
}

STAND_IN const char* ncclGetErrorString(ncclResult_t result) {
  switch (result) {
    case ncclSuccess:
      return "no error";
    case ncclUnhandledCudaError:
      return "unhandled cuda error (run with NCCL_DEBUG=INFO for details)";
    case ncclSystemError:
      return "unhandled system error (run with NCCL_DEBUG=INFO for details)";
    case ncclInternalError:
      return "internal error - please report this issue to the NCCL developers";
    case ncclInvalidArgument:
      return "invalid argument (run with NCCL_DEBUG=WARN for details)";
    case ncclInvalidUsage:
      return "invalid usage (run with NCCL_DEBUG=WARN for details)";
    case ncclRemoteError:
      return "remote process exited or there was a network error";
    default:
      return "NCCL operation in progress";
  }
}

STAND_IN const char* ncclGetLastError(ncclComm_t) { return ""; }
