#include "core/collective.h"

#include <dlfcn.h>

#include <numeric>
#include <type_traits>

#include "core/error.h"
#include "core/library_backend.h"

namespace bertune {
namespace {

class LibraryCollective final : public Collective {
 public:
  LibraryCollective(const CollectiveTable& table, double seconds, const std::atomic<bool>& is_ending) : table_(table) {
    call(table_.join, seconds, &is_ending, &rank_, &size_);
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  void all_reduce(void* values, int64_t count, Dtype dtype) override { call(table_.all_reduce, values, count, dtype); }
  std::vector<std::vector<uint8_t>> all_gather(const void* bytes, size_t count) override {
    std::vector<uint64_t> counts(size_);
    call(table_.all_gather_counts, uint64_t{count}, counts.data());
    std::vector<uint8_t> all(std::accumulate(counts.begin(), counts.end(), uint64_t{0}));
    call(table_.all_gather, bytes, static_cast<const uint64_t*>(counts.data()), static_cast<void*>(all.data()));
    std::vector<std::vector<uint8_t>> parts;
    auto begin = all.begin();
    for (const uint64_t part : counts) {
      parts.emplace_back(begin, begin + static_cast<int64_t>(part));
      begin += static_cast<int64_t>(part);
    }
    return parts;
  }
  void done() override { table_.done(); }

 private:
  template <typename... Parameters>
  static void call(void (*entry)(LibraryFailure*, Parameters...), std::type_identity_t<Parameters>... arguments) {
    LibraryFailure failure;
    failure.code[0] = '\0';
    entry(&failure, arguments...);
    throw_failure(failure);
  }

  const CollectiveTable& table_;
  int rank_ = 0, size_ = 1;
};

class DeviceCollective final : public Collective {
 public:
  DeviceCollective(Backend& backend, const RanksMeeting& meeting)
      : backend_(backend), rank_(meeting.rank), size_(meeting.size) {
    backend.join_ranks(meeting);
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  void all_reduce(void* values, int64_t count, Dtype dtype) override {
    BERTUNE_CHECK(dtype == Dtype::kF64);
    backend_.sum_over_ranks(static_cast<double*>(values), count);
  }
  std::vector<std::vector<uint8_t>> all_gather(const void*, size_t) override {
    throw Error("INTERNAL", "A device's ranks gather nothing in host memory");
  }
  void done() override { backend_.leave_ranks(); }

 private:
  Backend& backend_;
  int rank_, size_;
};

[[noreturn]] void refuse(const std::string& path, const char* reason) {
  throw Error("COLLECTIVE_UNAVAILABLE", "Expected " + path + " to open but " + (reason ? reason : "it does not"));
}

}  // namespace

std::unique_ptr<Collective> join_collective(const std::string& path, double seconds,
                                            const std::atomic<bool>& is_ending) {
  // Global: what MPI itself opens later looks for its symbols there. Never closed again.
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (!library) refuse(path, dlerror());
  const auto entry = reinterpret_cast<CollectiveEntry>(dlsym(library, kCollectiveSymbol));
  const CollectiveTable* table = entry ? entry() : nullptr;
  if (!table || table->version != kCollectiveVersion) refuse(path, "it is of another version of bertune");
  return std::make_unique<LibraryCollective>(*table, seconds, is_ending);
}

std::unique_ptr<Collective> join_collective(Backend& backend, const RanksMeeting& meeting) {
  return std::make_unique<DeviceCollective>(backend, meeting);
}

}  // namespace bertune
