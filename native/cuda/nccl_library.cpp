#include "cuda/nccl_library.h"

#include "core/error.h"

// What the loader is asked for. The emulated build names itself: see test/simt/nccl.
#if !defined(BERTUNE_NCCL_NAMES)
#define BERTUNE_NCCL_NAMES "libnccl.so.2"
#endif

namespace bertune::cuda {
namespace {

// The first with communicators that do not block.
constexpr int kLeastVersion = 21400;

}  // namespace

NcclLibrary::NcclLibrary()
    : library_(WantedLibrary{
          .code = "COLLECTIVE_UNAVAILABLE",
          .words = "NCCL, through which the GPUs of several processes add up gradients,",
          .advice = "Install it (`pip install nvidia-nccl-cu13` and put that Python on the PATH, or NVIDIA's package "
                    "libnccl2), or set BERTUNE_NCCL to a libnccl.so.2",
          .variable = "BERTUNE_NCCL",
          .names = {BERTUNE_NCCL_NAMES},
          .pip = {"nccl", "cu13"}}) {
  library_.look_up(get_unique_id, "ncclGetUniqueId");
  library_.look_up(comm_abort, "ncclCommAbort");
  library_.look_up(comm_destroy, "ncclCommDestroy");
  library_.look_up(comm_get_async_error, "ncclCommGetAsyncError");
  library_.look_up(group_start, "ncclGroupStart");
  library_.look_up(group_end, "ncclGroupEnd");
  library_.look_up(all_reduce, "ncclAllReduce");
  library_.look_up(get_error_string, "ncclGetErrorString");
  decltype(&ncclGetVersion) get_version;
  library_.look_up(get_version, "ncclGetVersion");
  int version = 0;
  get_version(&version);
  if (version < kLeastVersion) {
    throw Error("COLLECTIVE_UNAVAILABLE", "Expected NCCL 2.14 or later but " + library_.path() +
                                              " is of version code " + std::to_string(version));
  }
  library_.look_up(comm_init_rank_config, "ncclCommInitRankConfig");
  library_.look_up(comm_finalize, "ncclCommFinalize");
  library_.look_up(get_last_error, "ncclGetLastError");
}

}  // namespace bertune::cuda
