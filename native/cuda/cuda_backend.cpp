#include "cuda/cuda_backend.h"

#include <algorithm>
#include <memory>
#include <type_traits>

#include "cuda/aside.h"
#include "cuda/attention.h"
#include "cuda/environment.h"
#include "cuda/gemm.h"
#include "cuda/gpu.h"
#include "cuda/lazy_rows.h"
#include "cuda/memory.h"
#include "cuda/met_rows.h"
#include "cuda/nccl_ranks.h"
#include "cuda/operations.h"
#include "cuda/overlap.h"
#include "cuda/recordings.h"
#include "cuda/reduce_gradients.h"
#include "cuda/scalar.cuh"
#include "cuda/segments.h"
#include "cuda/step_state.h"
#include "cuda/weights.h"

namespace bertune::cuda {
namespace {

// Batches are run at sizes rounded up to these, so that few of them differ.
constexpr int kTokenBucket = 64, kSequenceBucket = 16, kLengthBucket = 32;

// Tokens whose partial sums of columns the workspace is planned for at a time: see column_sums.cu and lora.cu.
constexpr int kRowsOfPartial = 128;

// Above so many rows, blocks of a low-rank update's gradients leave so many partial sums each: see lora.cu.
constexpr int kRowsOfOuter = 512, kFloatsOfOuter = 1024;

// Steps the host may be ahead of the device.
constexpr int kRunAhead = 64;

int round_up(int value, int size) { return (value + size - 1) / size * size; }

// Memory of a backend, which is told before it goes.
class ContextMemory final : public Memory {
 public:
  ContextMemory(std::unique_ptr<Memory> memory, const Context& context)
      : memory_(std::move(memory)), context_(context) {}
  ~ContextMemory() override {
    if (context_.met_rows) context_.met_rows->forget({data(), bytes()});
    if (context_.lazy_rows) context_.lazy_rows->forget({data(), bytes()});
  }
  void* data() const override { return memory_->data(); }
  size_t bytes() const override { return memory_->bytes(); }

 private:
  std::unique_ptr<Memory> memory_;
  const Context& context_;
};

template <typename T>
class CudaBackend final : public Backend {
 public:
  explicit CudaBackend(bool tf32)
      : recordings_(stream_.get(), !graphs_are_off(), context_.overlaps),
        gemm_(gemm_is_own() ? nullptr : make_gemm(tf32)) {
    cudaDeviceProp properties;
    BERTUNE_CUDA(cudaGetDeviceProperties(&properties, current_gpu()));
    context_.multiprocessors = properties.multiProcessorCount;
    context_.overlaps = launches_may_overlap();
    context_.aside = &aside_;
    context_.gemm = gemm_.get();
    context_.recordings = &recordings_;
    if (!lazy_adamw_is_off()) {
      context_.met_rows = &met_rows_;
      context_.lazy_rows = &lazy_rows_;
    }
    state_.reset(allocate_memory(2 * sizeof(DeviceState), "the state of a step"));
    context_.state = static_cast<DeviceState*>(state_->data());
    context_.pending = context_.state + 1;
    const auto grow = [this] {
      if (recordings_.capturing()) throw Error("INTERNAL", "An operation asked for memory while it was recorded");
      aside_.synchronize();
      recordings_.forget();
    };
    context_.scratch.on_growth(grow);
    aside_.scratch().on_growth(grow);
  }

  ~CudaBackend() override { cudaStreamSynchronize(context_.stream); }

  size_t real_size() const override { return sizeof(T); }
  size_t acc_size() const override { return sizeof(float); }
  size_t master_size() const override { return kWeightsAreMaster ? sizeof(float) : sizeof(uint16_t); }
  bool weights_are_master() const override { return kWeightsAreMaster; }
  int max_head_size() const override { return kMaxHeadSize; }

  Memory* allocate(size_t bytes, const char* what) override {
    return new ContextMemory(std::unique_ptr<Memory>(allocate_memory(bytes, what)), context_);
  }
  void copy_in(void* device, const void* host, size_t bytes) override {
    bring_up_to_date(device, bytes);
    BERTUNE_CUDA(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, context_.stream));
    synchronize();
  }
  void copy_out(void* host, const void* device, size_t bytes) override {
    bring_up_to_date(device, bytes);
    BERTUNE_CUDA(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, context_.stream));
    synchronize();
  }
  void zero(void* device, size_t bytes) override {
    bring_up_to_date(device, bytes);
    BERTUNE_CUDA(cudaMemsetAsync(device, 0, bytes, context_.stream));
  }
  void write_weight(Real* weight, Master* master, const void* host, Dtype dtype, int64_t count) override {
    bring_up_to_date(weight, count * sizeof(T));
    cuda::write_weight<T>(context_, weight, master, host, dtype, count);
  }
  void read_weight(void* host, Dtype dtype, const Real* weight, const Master* master, int64_t count) override {
    bring_up_to_date(weight, count * sizeof(T));
    cuda::read_weight<T>(context_, host, dtype, weight, master, count);
  }
  void write_acc(Acc* device, const void* host, Dtype dtype, int64_t count) override {
    bring_up_to_date(device, count * sizeof(float));
    write_scalars<float>(context_, floats(device), host, dtype, count);
  }
  void read_acc(void* host, Dtype dtype, const Acc* device, int64_t count) override {
    bring_up_to_date(device, count * sizeof(float));
    read_scalars<float>(context_, host, dtype, floats(device), count);
  }
  void read_real(void* host, Dtype dtype, const Real* device, int64_t count) override {
    bring_up_to_date(device, count * sizeof(T));
    read_scalars<T>(context_, host, dtype, scalars<T>(device), count);
  }

  bool makes_compact(int V, int C) const override { return context_.met_rows && MetRows::suits(V, C); }
  void read_places(int32_t* places, const Acc* gradient, int V) override {
    met_rows_.read_places(context_, places, gradient, V);
  }

  void reserve_workspace(const BatchShape& largest, int columns, int64_t trainable) override {
    const int64_t rows = std::max(largest.T, largest.B);
    int64_t partials = (rows + kRowsOfPartial - 1) / kRowsOfPartial * columns;
    if (rows > kRowsOfOuter) {
      const int64_t blocks = 4 * context_.multiprocessors + 2 * ((columns + 31) / 32);
      partials = std::max(partials, blocks * kFloatsOfOuter);
    }
    const int64_t orders = 2 * static_cast<int64_t>(largest.T);  // of tokens, while they are sorted
    const int64_t chunks = trainable / SegmentTable::kChunk + kMostSegments;
    context_.scratch.floats(static_cast<size_t>(std::max({partials, orders, trainable > 0 ? chunks : 0})));
    context_.scratch.tickets(kMostTickets);
  }
  size_t workspace_bytes() const override {
    size_t bytes = context_.scratch.bytes() + aside_.scratch().bytes() + state_->bytes() + met_rows_.bytes() +
                   lazy_rows_.bytes() + (gemm_ ? gemm_->workspace_bytes() : 0);
    for (const auto& segments : context_.segments) bytes += segments ? segments->bytes() : 0;
    return bytes;
  }
  DeviceMemory device_memory() override {
    size_t free = 0, total = 0;
    BERTUNE_CUDA(cudaMemGetInfo(&free, &total));
    return {total - free, total};
  }

  BatchShape pad(const BatchShape& shape) const override {
    return {round_up(shape.B, kSequenceBucket), round_up(shape.T, kTokenBucket),
            round_up(shape.max_length, kLengthBucket)};
  }

  bool replay(const RecordingKey& key) override { return recordings_.replay(key); }
  bool end_recording(const char* failure) override {
    if (failure != nullptr) aside_.abandon();
    return recordings_.end(failure);
  }
  void forget_recordings() override {
    synchronize();  // what is under way may use what is about to change
    recordings_.forget();
  }
  RecordingCounts recordings() const override { return recordings_.counts(); }
  const char* take_warning() override { return recordings_.take_warning(); }

  bool sums_together() const override { return true; }
  bool runs_aside() const override { return aside_.exists(); }
  void begin_aside() override { aside_.begin(); }
  int end_aside() override { return aside_.end(); }
  void wait_for(int mark) override { aside_.wait_for(mark); }
  void join_aside() override { aside_.join(); }
  int run_ahead() const override { return kRunAhead; }
  void start_run() override { cuda::start_run(context_); }
  void begin_step(const StepState& state) override { cuda::begin_step(context_, state); }
  void use_batch(const Batch& part) override { context_.batch = part; }
  void join_ranks(const RanksMeeting& meeting) override {
    ranks_.reset();
    meet_all_rows();
    ranks_ = std::make_unique<NcclRanks>(meeting, context_.stream);
  }
  void reduce_gradients(const OptimizerSegment* segments, int count, Acc* loss) override {
    cuda::reduce_gradients(context_, ranks(), segments, count, floats(loss));
  }
  void sum_over_ranks(double* values, int64_t count) override { ranks().all_reduce(values, count); }
  void leave_ranks() override {
    ranks().leave();
    ranks_.reset();
  }
  void synchronize() override { BERTUNE_CUDA(cudaStreamSynchronize(context_.stream)); }

#define BERTUNE_OPERATION(name, Arguments) \
  void name(const Arguments& args) override { cuda::name<T>(context_, args); }
  BERTUNE_OPERATIONS(BERTUNE_OPERATION)
#undef BERTUNE_OPERATION

 private:
  NcclRanks& ranks() {
    if (!ranks_) throw Error("INVALID_OPTION", "Expected a backend that has joined other ranks");
    return *ranks_;
  }

  // Before anybody but an operation reads or writes memory.
  void bring_up_to_date(const void* memory, size_t bytes) {
    if (context_.met_rows) context_.met_rows->fill(context_, {memory, bytes});
    if (context_.lazy_rows) context_.lazy_rows->settle<T>(context_, {memory, bytes});
  }
  // Other ranks' tokens meet rows that this one does not know, so from now on every row is summed and updated.
  void meet_all_rows() {
    const MemoryRange all{nullptr, SIZE_MAX};
    bring_up_to_date(all.begin, all.bytes);
    forget_recordings();
    met_rows_.forget(all);
    lazy_rows_.forget(all);
    context_.met_rows = nullptr;
    context_.lazy_rows = nullptr;
  }

  static constexpr bool kWeightsAreMaster = std::is_same_v<T, float>;
  // Upper bounds for the workspace: parameters of a model, and blocks of one launch that share a ticket.
  static constexpr int64_t kMostSegments = 4096, kMostTickets = 1024;

  Stream stream_{Stream::Priority::kGreatest};
  Context context_{.stream = stream_.get()};
  Aside aside_{context_, streams_are_one()};
  Recordings recordings_;
  MetRows met_rows_;
  LazyRows lazy_rows_;
  std::unique_ptr<Gemm> gemm_;
  std::unique_ptr<Memory> state_;
  std::unique_ptr<NcclRanks> ranks_;  // null: this process alone
};

}  // namespace

std::unique_ptr<Backend> make_cuda_backend(Precision precision) {
  switch (precision) {
    case Precision::kBf16:
      return std::make_unique<CudaBackend<bf16>>(false);
    case Precision::kTf32:
      return std::make_unique<CudaBackend<float>>(true);
    default:
      return std::make_unique<CudaBackend<float>>(false);
  }
}

}  // namespace bertune::cuda
