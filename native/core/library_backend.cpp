#include "core/library_backend.h"

#include <type_traits>

#include "core/error.h"

namespace bertune {
namespace {

class LibraryMemory final : public Memory {
 public:
  LibraryMemory(const LibraryTable& table, MemoryHandle* handle, void* data, size_t bytes)
      : table_(table), handle_(handle), data_(data), bytes_(bytes) {}
  ~LibraryMemory() override { table_.release(handle_); }
  void* data() const override { return data_; }
  size_t bytes() const override { return bytes_; }

 private:
  const LibraryTable& table_;
  MemoryHandle* handle_;
  void* data_;
  size_t bytes_;
};

class LibraryBackend final : public Backend {
 public:
  LibraryBackend(const LibraryTable& table, BackendHandle* handle) : table_(table), handle_(handle) {}
  ~LibraryBackend() override { table_.destroy(handle_); }

  Memory* allocate(size_t bytes, const char* what) override {
    void* data = nullptr;
    MemoryHandle* memory = call(table_.allocate, bytes, what, &data);
    try {
      return new LibraryMemory(table_, memory, data, bytes);
    } catch (...) {
      table_.release(memory);
      throw;
    }
  }

  size_t real_size() const override { return call(table_.real_size); }
  size_t acc_size() const override { return call(table_.acc_size); }
  size_t master_size() const override { return call(table_.master_size); }
  bool weights_are_master() const override { return call(table_.weights_are_master); }
  int max_head_size() const override { return call(table_.max_head_size); }
  void copy_in(void* device, const void* host, size_t bytes) override { call(table_.copy_in, device, host, bytes); }
  void copy_out(void* host, const void* device, size_t bytes) override { call(table_.copy_out, host, device, bytes); }
  void zero(void* device, size_t bytes) override { call(table_.zero, device, bytes); }
  void write_weight(Real* weight, Master* master, const void* host, Dtype dtype, int64_t count) override {
    call(table_.write_weight, weight, master, host, dtype, count);
  }
  void read_weight(void* host, Dtype dtype, const Real* weight, const Master* master, int64_t count) override {
    call(table_.read_weight, host, dtype, weight, master, count);
  }
  void write_acc(Acc* device, const void* host, Dtype dtype, int64_t count) override {
    call(table_.write_acc, device, host, dtype, count);
  }
  void read_acc(void* host, Dtype dtype, const Acc* device, int64_t count) override {
    call(table_.read_acc, host, dtype, device, count);
  }
  void read_real(void* host, Dtype dtype, const Real* device, int64_t count) override {
    call(table_.read_real, host, dtype, device, count);
  }
  bool makes_compact(int V, int C) const override { return call(table_.makes_compact, V, C); }
  void read_places(int32_t* places, const Acc* gradient, int V) override {
    call(table_.read_places, places, gradient, V);
  }
  void reserve_workspace(const BatchShape& largest, int columns, int64_t trainable) override {
    call(table_.reserve_workspace, largest, columns, trainable);
  }
  size_t workspace_bytes() const override { return call(table_.workspace_bytes); }
  DeviceMemory device_memory() override { return call(table_.device_memory); }
  BatchShape pad(const BatchShape& shape) const override { return call(table_.pad, shape); }
  bool replay(const RecordingKey& key) override { return call(table_.replay, key); }
  bool end_recording(const char* failure) override { return call(table_.end_recording, failure); }
  void forget_recordings() override { call(table_.forget_recordings); }
  RecordingCounts recordings() const override { return call(table_.recordings); }
  const char* take_warning() override { return call(table_.take_warning); }
  bool sums_together() const override { return call(table_.sums_together); }
  bool runs_aside() const override { return call(table_.runs_aside); }
  void begin_aside() override { call(table_.begin_aside); }
  int end_aside() override { return call(table_.end_aside); }
  void wait_for(int mark) override { call(table_.wait_for, mark); }
  void join_aside() override { call(table_.join_aside); }
  int run_ahead() const override { return call(table_.run_ahead); }
  void start_run() override { call(table_.start_run); }
  void begin_step(const StepState& state) override { call(table_.begin_step, state); }
  void use_batch(const Batch& part) override { call(table_.use_batch, part); }
  void join_ranks(const RanksMeeting& meeting) override { call(table_.join_ranks, meeting); }
  void reduce_gradients(const OptimizerSegment* segments, int count, Acc* loss) override {
    call(table_.reduce_gradients, segments, count, loss);
  }
  void sum_over_ranks(double* values, int64_t count) override { call(table_.sum_over_ranks, values, count); }
  void leave_ranks() override { call(table_.leave_ranks); }
  void synchronize() override { call(table_.synchronize); }
#define BERTUNE_FORWARD(name, Arguments) \
  void name(const Arguments& args) override { call(table_.name, args); }
  BERTUNE_OPERATIONS(BERTUNE_FORWARD)
#undef BERTUNE_FORWARD

 private:
  template <typename Result, typename... Parameters, typename... Arguments>
  Result call(Result (*entry)(BackendHandle*, LibraryFailure*, Parameters...), const Arguments&... arguments) const {
    LibraryFailure failure;
    failure.code[0] = '\0';
    if constexpr (std::is_void_v<Result>) {
      entry(handle_, &failure, arguments...);
      throw_failure(failure);
    } else {
      const Result result = entry(handle_, &failure, arguments...);
      throw_failure(failure);
      return result;
    }
  }

  const LibraryTable& table_;
  BackendHandle* handle_;
};

}  // namespace

void throw_failure(const LibraryFailure& failure) {
  if (failure.code[0] != '\0') throw Error(failure.code, failure.message);
}

std::unique_ptr<Backend> make_library_backend(const LibraryTable& table, int ordinal, const std::string& precision) {
  LibraryFailure failure;
  failure.code[0] = '\0';
  BackendHandle* handle = table.create(ordinal, precision.c_str(), &failure);
  throw_failure(failure);
  try {
    return std::make_unique<LibraryBackend>(table, handle);
  } catch (...) {
    table.destroy(handle);
    throw;
  }
}

}  // namespace bertune
