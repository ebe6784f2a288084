// What ranks exchange (core/collective.h), by MPI. Built once for every MPI that is found, whose binary interfaces differ.
//
// No call waits for ever: each is begun without waiting and asked for until the time limit. A rank that runs into it asks
// all others whether they are there; those that wait as well answer at once, so that it knows who is not.
#include "core/collective.h"

#include <mpi.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <thread>

#include "core/error.h"

namespace bertune {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kRollCall = 1;  // tag of messages that ask and answer who is there
constexpr std::chrono::seconds kAnswerTime{2};
// In which all ranks come at least: they load model and data before.
constexpr std::chrono::duration<double> kStartTime{30};

struct World {
  MPI_Comm comm = MPI_COMM_NULL;
  int rank = 0, size = 1;
  std::chrono::duration<double> limit{30};
  const std::atomic<bool>* is_ending = nullptr;  // the process
  std::vector<std::string> hosts;                // by rank
  bool is_broken = false;                        // a call did not end: MPI may only be left by leaving the process
  bool is_done = false;                          // nothing is to be exchanged any more
};

World world;  // of the process

std::string seconds_of(std::chrono::duration<double> time) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", time.count());
  return text;
}

void check(int status) {
  if (status == MPI_SUCCESS) return;
  world.is_broken = true;
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(status, text, &length);
  throw Error("RANK_LOST", std::string("MPI failed: ") + text);
}

// Between two looks at what is under way: at first not to lose time, then not to take it from others.
void pause(int looks) {
  if (looks < 2000) {
    sched_yield();
  } else {
    usleep(100);
  }
}

bool is_done(MPI_Request& request) {
  int done = 0;
  check(MPI_Test(&request, &done, MPI_STATUS_IGNORE));
  return done != 0;
}

bool roll_is_called() {
  int called = 0;
  check(MPI_Iprobe(MPI_ANY_SOURCE, kRollCall, world.comm, &called, MPI_STATUS_IGNORE));
  return called != 0;
}

// The ranks that do not answer. Messages stay under way after it.
std::vector<int> missing_ranks() {
  static char here = 1;
  static std::vector<char> answers;
  answers.assign(world.size, 0);
  std::vector<MPI_Request> asked(world.size, MPI_REQUEST_NULL), answered(world.size, MPI_REQUEST_NULL);
  for (int rank = 0; rank < world.size; ++rank) {
    if (rank == world.rank) continue;
    check(MPI_Isend(&here, 1, MPI_CHAR, rank, kRollCall, world.comm, &asked[rank]));
    check(MPI_Irecv(&answers[rank], 1, MPI_CHAR, rank, kRollCall, world.comm, &answered[rank]));
  }
  std::vector<int> missing;
  const auto end = Clock::now() + kAnswerTime;
  do {
    missing.clear();
    for (int rank = 0; rank < world.size; ++rank) {
      if (rank != world.rank && answered[rank] != MPI_REQUEST_NULL && !is_done(answered[rank])) missing.push_back(rank);
    }
    usleep(1000);
  } while (!missing.empty() && Clock::now() < end);
  return missing;
}

[[noreturn]] void refuse_to_wait() {
  world.is_broken = true;
  std::string names;
  for (const int rank : missing_ranks()) {
    names += (names.empty() ? "rank " : ", rank ") + std::to_string(rank) + " on " + world.hosts[rank];
  }
  const std::string seconds = seconds_of(world.limit);
  throw Error("RANK_LOST", names.empty() ? "The ranks did not meet within " + seconds + " s"
                                         : "Waited " + seconds + " s for " + names);
}

void expect_to_go_on() {
  if (!*world.is_ending) return;
  world.is_broken = true;
  throw Error("RANK_LOST", "This process ends");
}

void wait(MPI_Request request) {
  const auto end = Clock::now() + world.limit;
  for (int looks = 0; !is_done(request); ++looks) {
    if (looks % 256 == 255) {
      expect_to_go_on();
      if (Clock::now() > end || roll_is_called()) refuse_to_wait();
    }
    pause(looks);
  }
}

void expect_whole() {
  if (world.is_broken) throw Error("RANK_LOST", "A rank was lost before");
}

MPI_Datatype type_of(Dtype dtype) {
  BERTUNE_CHECK(dtype == Dtype::kF32 || dtype == Dtype::kF64);
  return dtype == Dtype::kF32 ? MPI_FLOAT : MPI_DOUBLE;
}

// A rank that ends before the work is done does not leave MPI in good order, upon which the launcher ends the others.
void leave() {
  if (world.is_done && !world.is_broken) MPI_Finalize();
}

// MPI_Init waits for all, also for a rank that has ended before it came here: it does so on a thread of its own.
void initialize() {
  struct Start {
    std::mutex mutex;
    std::condition_variable ended;
    bool is_over = false, is_good = false;
  };
  const auto start = std::make_shared<Start>();
  std::thread([start] {
    int provided = 0;
    const int status = MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided);
    const std::lock_guard<std::mutex> lock(start->mutex);
    start->is_over = true;
    start->is_good = status == MPI_SUCCESS && provided >= MPI_THREAD_SERIALIZED;
    start->ended.notify_all();
  }).detach();
  std::unique_lock<std::mutex> lock(start->mutex);
  const auto limit = std::max(world.limit, kStartTime);
  for (const auto end = Clock::now() + limit; !start->is_over;) {
    expect_to_go_on();
    start->ended.wait_for(lock, std::chrono::milliseconds(50));
    if (start->is_over || Clock::now() < end) continue;
    world.is_broken = true;
    throw Error("RANK_LOST", "Not all processes came to train within " + seconds_of(limit) +
                                 " s: one has ended before, or is slower to load model and data");
  }
  if (!start->is_good) throw Error("COLLECTIVE_UNAVAILABLE", "MPI does not start, or not for threads");
}

void start() {
  initialize();
  MPI_Comm_dup(MPI_COMM_WORLD, &world.comm);
  MPI_Comm_set_errhandler(world.comm, MPI_ERRORS_RETURN);
  MPI_Comm_rank(world.comm, &world.rank);
  MPI_Comm_size(world.comm, &world.size);
  std::atexit(leave);
  char name[MPI_MAX_PROCESSOR_NAME] = "";
  int length = 0;
  MPI_Get_processor_name(name, &length);
  world.hosts.resize(world.size);
  std::vector<char> names(static_cast<size_t>(world.size) * sizeof name);
  MPI_Request request;
  check(MPI_Iallgather(name, sizeof name, MPI_CHAR, names.data(), sizeof name, MPI_CHAR, world.comm, &request));
  wait(request);
  for (int rank = 0; rank < world.size; ++rank) world.hosts[rank] = names.data() + rank * sizeof name;
}

// Runs a call of the table; what it throws goes into `failure`.
template <typename Work>
void guarded(LibraryFailure* failure, Work&& work) {
  try {
    work();
  } catch (const Error& error) {
    std::snprintf(failure->code, sizeof failure->code, "%s", error.code().c_str());
    std::snprintf(failure->message, sizeof failure->message, "%s", error.what());
  } catch (const std::exception&) {
    std::snprintf(failure->code, sizeof failure->code, "OUT_OF_MEMORY");
    std::snprintf(failure->message, sizeof failure->message, "Not enough memory to exchange data with other ranks");
  }
}

void join(LibraryFailure* failure, double seconds, const std::atomic<bool>* is_ending, int* rank, int* size) {
  guarded(failure, [&] {
    expect_whole();
    world.limit = std::chrono::duration<double>(seconds);
    world.is_ending = is_ending;
    world.is_done = false;
    if (world.comm == MPI_COMM_NULL) start();
    *rank = world.rank;
    *size = world.size;
  });
}

void all_reduce(LibraryFailure* failure, void* values, int64_t count, Dtype dtype) {
  guarded(failure, [&] {
    expect_whole();
    constexpr int64_t kMost = int64_t{1} << 30;
    auto* bytes = static_cast<char*>(values);
    for (int64_t begin = 0; begin < count; begin += kMost) {
      MPI_Request request;
      check(MPI_Iallreduce(MPI_IN_PLACE, bytes + begin * (dtype == Dtype::kF32 ? 4 : 8),
                           static_cast<int>(std::min(kMost, count - begin)), type_of(dtype), MPI_SUM, world.comm,
                           &request));
      wait(request);
    }
  });
}

void all_gather_counts(LibraryFailure* failure, uint64_t count, uint64_t* counts) {
  guarded(failure, [&] {
    expect_whole();
    MPI_Request request;
    check(MPI_Iallgather(&count, 1, MPI_UINT64_T, counts, 1, MPI_UINT64_T, world.comm, &request));
    wait(request);
  });
}

void all_gather(LibraryFailure* failure, const void* bytes, const uint64_t* counts, void* all) {
  guarded(failure, [&] {
    expect_whole();
    std::vector<int> sizes(counts, counts + world.size), starts(world.size, 0);
    for (int rank = 1; rank < world.size; ++rank) starts[rank] = starts[rank - 1] + sizes[rank - 1];
    MPI_Request request;
    check(MPI_Iallgatherv(bytes, sizes[world.rank], MPI_BYTE, all, sizes.data(), starts.data(), MPI_BYTE, world.comm,
                          &request));
    wait(request);
  });
}

void done() { world.is_done = true; }

}  // namespace

extern "C" __attribute__((visibility("default"))) const CollectiveTable* bertune_collective_library() {
  static const CollectiveTable table{kCollectiveVersion, join, all_reduce, all_gather_counts, all_gather, done};
  return &table;
}

}  // namespace bertune
