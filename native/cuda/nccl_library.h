// NCCL's functions, looked up at run time.
#pragma once

#include "cuda/nccl_api.h"
#include "cuda/opened_library.h"

namespace bertune::cuda {

class NcclLibrary {
 public:
  // Throws COLLECTIVE_UNAVAILABLE, saying what it looked for and where, and what to install.
  NcclLibrary();

  decltype(&ncclGetUniqueId) get_unique_id;
  decltype(&ncclCommInitRankConfig) comm_init_rank_config;
  decltype(&ncclCommFinalize) comm_finalize;
  decltype(&ncclCommDestroy) comm_destroy;
  decltype(&ncclCommAbort) comm_abort;
  decltype(&ncclCommGetAsyncError) comm_get_async_error;
  decltype(&ncclGroupStart) group_start;
  decltype(&ncclGroupEnd) group_end;
  decltype(&ncclAllReduce) all_reduce;
  decltype(&ncclGetErrorString) get_error_string;
  decltype(&ncclGetLastError) get_last_error;

 private:
  const OpenedLibrary library_;
};

}  // namespace bertune::cuda
