// The ranks of a run whose GPUs add up through NCCL.
//
// No call waits forever: communicators do not block, and calls under way are polled until the time limit. Then, or once a
// rank is known to be lost, NCCL is told to give up, so that the stream continues.
#pragma once

#include <memory>
#include <vector>

#include "core/backend.h"
#include "cuda/meeting.h"
#include "cuda/nccl_library.h"

namespace bertune::cuda {

class NcclRanks {
 public:
  // An array in device memory.
  struct Array {
    void* data;
    size_t count;
    ncclDataType_t type;
  };

  // Joins the others. Throws COLLECTIVE_UNAVAILABLE, RANK_LOST.
  NcclRanks(const RanksMeeting& place, cudaStream_t stream);
  ~NcclRanks();
  NcclRanks(const NcclRanks&) = delete;
  NcclRanks& operator=(const NcclRanks&) = delete;

  // The arrays become their sums over the ranks, on the stream, before it returns. Waiting here and not later ensures that
  // every other wait for the stream ends and that no failed sum is used. Throws RANK_LOST.
  void all_reduce(const std::vector<Array>& arrays);
  // The same for doubles in host memory.
  void all_reduce(double* values, int64_t count);
  // A float in device memory, for code that reduces.
  float* flag() const { return static_cast<float*>(flag_->data()); }
  // Ends the exchange of data.
  void leave();

 private:
  void join();
  // Waits until NCCL has finished what a call began.
  void settle(ncclResult_t status, Seconds limit);
  void wait_for_stream();
  // Throws if a rank is lost, NCCL has failed, or it is past `end`.
  void look(std::chrono::time_point<std::chrono::steady_clock, Seconds> end);
  [[noreturn]] void fail(ncclResult_t status);
  void abort();
  // Runs work; if it throws, nothing can be exchanged afterward.
  template <typename Work>
  void guarded(const Work& work);

  const NcclLibrary library_;
  const cudaStream_t stream_;
  const RanksMeeting place_;
  const Seconds limit_;
  std::unique_ptr<Memory> flag_, staging_;
  std::string card_;  // NCCL's id
  std::unique_ptr<Meeting> meeting_;
  ncclComm_t comm_ = nullptr;
  bool has_joined_ = false, is_broken_ = false;
};

}  // namespace bertune::cuda
