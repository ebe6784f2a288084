#include <algorithm>
#include <memory>
#include <type_traits>

#include "cuda/attention.h"
#include "cuda/cuda_backend.h"
#include "cuda/environment.h"
#include "cuda/gemm.h"
#include "cuda/gpu.h"
#include "cuda/memory.h"
#include "cuda/nccl_ranks.h"
#include "cuda/operations.h"
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

// A stream that is destroyed with its owner.
class Stream {
 public:
  Stream() { BERTUNE_CUDA(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
  ~Stream() { cudaStreamDestroy(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  cudaStream_t get() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

template <typename T>
class CudaBackend final : public Backend {
 public:
  explicit CudaBackend(bool tf32)
      : recordings_(stream_.get(), !graphs_are_off()), gemm_(gemm_is_own() ? nullptr : make_gemm(tf32)) {
    cudaDeviceProp properties;
    BERTUNE_CUDA(cudaGetDeviceProperties(&properties, current_gpu()));
    context_.stream = stream_.get();
    context_.multiprocessors = properties.multiProcessorCount;
    context_.gemm = gemm_.get();
    context_.recordings = &recordings_;
    state_.reset(allocate_memory(sizeof(DeviceState), "the state of a step"));
    context_.state = static_cast<DeviceState*>(state_->data());
    context_.scratch.on_growth([this] {
      if (recordings_.capturing()) throw Error("INTERNAL", "An operation asked for memory while it was recorded");
      BERTUNE_CUDA(cudaStreamSynchronize(context_.stream));
      recordings_.forget();
    });
  }

  ~CudaBackend() override { cudaStreamSynchronize(context_.stream); }

  size_t real_size() const override { return sizeof(T); }
  size_t acc_size() const override { return sizeof(float); }
  size_t master_size() const override { return kWeightsAreMaster ? sizeof(float) : sizeof(uint16_t); }
  bool weights_are_master() const override { return kWeightsAreMaster; }
  int max_head_size() const override { return kMaxHeadSize; }

  Memory* allocate(size_t bytes, const char* what) override { return allocate_memory(bytes, what); }
  void copy_in(void* device, const void* host, size_t bytes) override {
    BERTUNE_CUDA(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, context_.stream));
    synchronize();
  }
  void copy_out(void* host, const void* device, size_t bytes) override {
    BERTUNE_CUDA(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, context_.stream));
    synchronize();
  }
  void zero(void* device, size_t bytes) override { BERTUNE_CUDA(cudaMemsetAsync(device, 0, bytes, context_.stream)); }
  void write_weight(Real* weight, Master* master, const void* host, Dtype dtype, int64_t count) override {
    cuda::write_weight<T>(context_, weight, master, host, dtype, count);
  }
  void read_weight(void* host, Dtype dtype, const Real* weight, const Master* master, int64_t count) override {
    cuda::read_weight<T>(context_, host, dtype, weight, master, count);
  }
  void write_acc(Acc* device, const void* host, Dtype dtype, int64_t count) override {
    write_scalars<float>(context_, floats(device), host, dtype, count);
  }
  void read_acc(void* host, Dtype dtype, const Acc* device, int64_t count) override {
    read_scalars<float>(context_, host, dtype, floats(device), count);
  }
  void read_real(void* host, Dtype dtype, const Real* device, int64_t count) override {
    read_scalars<T>(context_, host, dtype, scalars<T>(device), count);
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
    size_t bytes = context_.scratch.bytes() + state_->bytes() + (gemm_ ? gemm_->workspace_bytes() : 0);
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
  bool end_recording(const char* failure) override { return recordings_.end(failure); }
  void forget_recordings() override {
    synchronize();  // what is under way may use what is about to change
    recordings_.forget();
  }
  RecordingCounts recordings() const override { return recordings_.counts(); }
  const char* take_warning() override { return recordings_.take_warning(); }

  bool sums_together() const override { return true; }
  int run_ahead() const override { return kRunAhead; }
  void start_run() override { cuda::start_run(context_); }
  void begin_step(const StepState& state) override { cuda::begin_step(context_, state); }
  void use_batch(const Batch& part) override { context_.batch = part; }
  void join_ranks(const RanksMeeting& meeting) override {
    ranks_.reset();
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

  static constexpr bool kWeightsAreMaster = std::is_same_v<T, float>;
  // Upper bounds for the workspace: parameters of a model, and blocks of one launch that share a ticket.
  static constexpr int64_t kMostSegments = 4096, kMostTickets = 1024;

  Stream stream_;
  Context context_;
  Recordings recordings_;
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
