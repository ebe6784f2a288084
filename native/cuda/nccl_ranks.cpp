#include "cuda/nccl_ranks.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "cuda/check.h"
#include "cuda/memory.h"

namespace bertune::cuda {
namespace {

using Clock = std::chrono::steady_clock;

// In which all ranks come at least: they load model and data before.
constexpr Seconds kStartTime{30};
constexpr int kLooksAtOnce = 64;  // at the stream, for each at the other ranks

// Between two looks at what is under way: at first not to lose time, then not to take it from others.
void pause(int looks) {
  if (looks < 2000) {
    sched_yield();
  } else {
    usleep(50);
  }
}

}  // namespace

NcclRanks::NcclRanks(const RanksMeeting& place, cudaStream_t stream)
    : stream_(stream), place_(place), limit_(place.seconds), flag_(allocate_memory(sizeof(float), "a flag of ranks")) {
  guarded([this] { join(); });
}

NcclRanks::~NcclRanks() { abort(); }

void NcclRanks::join() {
  const Seconds limit = std::max(limit_, kStartTime);
  ncclUniqueId id{};
  if (place_.rank == 0) {
    const ncclResult_t status = library_.get_unique_id(&id);
    if (status != ncclSuccess) fail(status);
    card_.assign(id.internal, sizeof id.internal);
  }
  meeting_ = std::make_unique<Meeting>(place_, limit, card_);
  std::memcpy(id.internal, card_.data(), std::min(card_.size(), sizeof id.internal));
  ncclConfig_t config{};
  config.blocking = 0;
  settle(library_.comm_init_rank_config(&comm_, place_.size, id, place_.rank, &config), limit);
  has_joined_ = true;
}

void NcclRanks::all_reduce(const std::vector<Array>& arrays) {
  guarded([&] {
    // Of calls in a group, the end says what came of them.
    settle(library_.group_start(), limit_);
    ncclResult_t refused = ncclSuccess;
    for (const Array& array : arrays) {
      const ncclResult_t status =
          library_.all_reduce(array.data, array.data, array.count, array.type, ncclSum, comm_, stream_);
      if (status != ncclSuccess && status != ncclInProgress) refused = status;
    }
    const ncclResult_t status = library_.group_end();
    settle(refused != ncclSuccess ? refused : status, limit_);
    wait_for_stream();
  });
}

void NcclRanks::all_reduce(double* values, int64_t count) {
  const size_t bytes = count * sizeof(double);
  if (!staging_ || staging_->bytes() < bytes) {
    staging_.reset();
    staging_.reset(allocate_memory(bytes, "what ranks add up"));
  }
  BERTUNE_CUDA(cudaMemcpyAsync(staging_->data(), values, bytes, cudaMemcpyHostToDevice, stream_));
  all_reduce({{staging_->data(), static_cast<size_t>(count), ncclFloat64}});
  BERTUNE_CUDA(cudaMemcpyAsync(values, staging_->data(), bytes, cudaMemcpyDeviceToHost, stream_));
  BERTUNE_CUDA(cudaStreamSynchronize(stream_));
}

void NcclRanks::leave() {
  if (is_broken_) return;
  try {
    settle(library_.comm_finalize(comm_), limit_);
    library_.comm_destroy(comm_);
    comm_ = nullptr;
  } catch (const Error&) {
    abort();  // whoever is lost now was not needed
  }
  meeting_->leave();
}

void NcclRanks::settle(ncclResult_t status, Seconds limit) {
  const auto end = Clock::now() + limit;
  for (int looks = 0; status == ncclInProgress; ++looks) {
    if (looks % kLooksAtOnce == kLooksAtOnce - 1) look(end);
    pause(looks);
    if (library_.comm_get_async_error(comm_, &status) != ncclSuccess) status = ncclInternalError;
  }
  if (status != ncclSuccess) fail(status);
}

void NcclRanks::wait_for_stream() {
  const auto end = Clock::now() + limit_;
  cudaError_t status;
  for (int looks = 0; (status = cudaStreamQuery(stream_)) == cudaErrorNotReady; ++looks) {
    cudaGetLastError();  // it is none
    if (looks % kLooksAtOnce == kLooksAtOnce - 1) {
      ncclResult_t failed = ncclSuccess;
      library_.comm_get_async_error(comm_, &failed);
      if (failed != ncclSuccess && failed != ncclInProgress) fail(failed);
      look(end);
    }
    pause(looks);
  }
  BERTUNE_CUDA(status);
}

void NcclRanks::look(std::chrono::time_point<Clock, Seconds> end) {
  meeting_->look();
  if (Clock::now() > end) meeting_->give_up();
}

void NcclRanks::fail(ncclResult_t status) {
  const char* detail = comm_ ? library_.get_last_error(comm_) : nullptr;
  std::string reason = std::string("NCCL failed: ") + library_.get_error_string(status);
  if (detail && *detail) reason += std::string(" (") + detail + ")";
  if (!has_joined_) throw Error("COLLECTIVE_UNAVAILABLE", reason);
  meeting_->lose(reason + ", and no answer from ", reason);
}

void NcclRanks::abort() {
  if (comm_) library_.comm_abort(comm_);
  comm_ = nullptr;
}

template <typename Work>
void NcclRanks::guarded(const Work& work) {
  if (is_broken_) throw Error("RANK_LOST", "A rank was lost before");
  try {
    work();
  } catch (...) {
    is_broken_ = true;
    abort();
    meeting_.reset();
    throw;
  }
}

}  // namespace bertune::cuda
