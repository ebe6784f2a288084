// Processes that train one model together, each on its share of every batch. A process is a rank, from 0 to size − 1.
//
// They exchange data through a library of its own (native/mpi), opened when a run asks for it, or on a GPU through the
// backend, by NCCL.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/backend.h"
#include "core/library.h"

namespace bertune {

// Calls meet: every rank makes the same calls in the same order, from one thread at a time. If another rank does not join
// a call within the time limit, the call throws RANK_LOST, naming that rank; nothing can be exchanged from then on.
class Collective {
 public:
  virtual ~Collective() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  // values (count) = Σ over the ranks, the same bits on each. Float or double, in host memory.
  virtual void all_reduce(void* values, int64_t count, Dtype dtype) = 0;
  // The bytes of every rank, by rank. Only for processes that exchange data in host memory.
  virtual std::vector<std::vector<uint8_t>> all_gather(const void* bytes, size_t count) = 0;
  // Says that this rank is done exchanging data and may end. A process that ends without saying so counts as lost.
  virtual void done() = 0;
};

// The contract with the library: plain functions, as in core/library.h.
struct CollectiveTable {
  uint32_t version;  // kCollectiveVersion
  // Joins the other ranks, once per process; later calls return what the first one did. `seconds`: the time limit.
  // `is_ending`: true once the process ends, from when on no call waits; it outlives the library.
  void (*join)(LibraryFailure* failure, double seconds, const std::atomic<bool>* is_ending, int* rank, int* size);
  void (*all_reduce)(LibraryFailure* failure, void* values, int64_t count, Dtype dtype);
  // counts (size): bytes of each rank; then bytes (Σ counts) of all.
  void (*all_gather_counts)(LibraryFailure* failure, uint64_t count, uint64_t* counts);
  void (*all_gather)(LibraryFailure* failure, const void* bytes, const uint64_t* counts, void* all);
  void (*done)();
};

constexpr uint32_t kCollectiveVersion = 2;
constexpr const char* kCollectiveSymbol = "bertune_collective_library";
using CollectiveEntry = const CollectiveTable* (*)();

// Joins the ranks through the library at `path`. Throws COLLECTIVE_UNAVAILABLE if it cannot be opened or used.
std::unique_ptr<Collective> join_collective(const std::string& path, double seconds,
                                            const std::atomic<bool>& is_ending);
// Joins them through the backend, which must outlive the result. Throws as Backend::join_ranks does.
std::unique_ptr<Collective> join_collective(Backend& backend, const RanksMeeting& meeting);

}  // namespace bertune
