#include "cpu/cpu_backend.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <memory>
#include <utility>

#include "core/error.h"
#include "cpu/all_reduce.h"
#include "cpu/blas_memory.h"
#include "cpu/context.h"
#include "cpu/memory.h"
#include "cpu/operations.h"
#include "cpu/scalar.h"

namespace bertune {
namespace {

// Memory of a backend, which is told before it goes.
template <typename T>
class ContextMemory final : public Memory {
 public:
  ContextMemory(std::unique_ptr<Memory> memory, Context& context) : memory_(std::move(memory)), context_(context) {}
  ~ContextMemory() override {
    context_.met_rows.forget({data(), bytes()});
    context_.lazy_rows.release<T>({data(), bytes()});
    context_.products.written({data(), bytes()});
  }
  void* data() const override { return memory_->data(); }
  size_t bytes() const override { return memory_->bytes(); }

 private:
  std::unique_ptr<Memory> memory_;
  Context& context_;
};

template <typename T>
class CpuBackend final : public Backend {
 public:
  CpuBackend(int threads, onednn::Element element) : blas_memory_(threads), context_(element, threads) {}

  size_t real_size() const override { return sizeof(T); }
  size_t acc_size() const override { return sizeof(T); }
  size_t master_size() const override { return sizeof(T); }
  bool weights_are_master() const override { return true; }
  int max_head_size() const override { return 0; }

  Memory* allocate(size_t bytes, const char* what) override {
    return new ContextMemory<T>(std::unique_ptr<Memory>(allocate_memory(bytes, what)), context_);
  }
  void copy_in(void* device, const void* host, size_t bytes) override {
    prepare_write(device, bytes);
    std::memcpy(device, host, bytes);
  }
  void copy_out(void* host, const void* device, size_t bytes) override {
    prepare_read(device, bytes);
    std::memcpy(host, device, bytes);
  }
  void zero(void* device, size_t bytes) override {
    prepare_write(device, bytes);
    context_.pool.run([&](int thread) {
      const size_t begin = bytes / context_.threads() * thread;
      const size_t end = thread + 1 == context_.threads() ? bytes : bytes / context_.threads() * (thread + 1);
      std::memset(static_cast<char*>(device) + begin, 0, end - begin);
    });
  }
  void write_weight(Real* weight, Master*, const void* host, Dtype dtype, int64_t count) override {
    prepare_write(weight, count * sizeof(T));
    read_elements(host, dtype, count, scalars<T>(weight));
  }
  void read_weight(void* host, Dtype dtype, const Real* weight, const Master*, int64_t count) override {
    prepare_read(weight, count * sizeof(T));
    write_elements(scalars<T>(weight), count, dtype, host);
  }
  void write_acc(Acc* device, const void* host, Dtype dtype, int64_t count) override {
    prepare_write(device, count * sizeof(T));
    read_elements(host, dtype, count, scalars<T>(device));
  }
  void read_acc(void* host, Dtype dtype, const Acc* device, int64_t count) override {
    prepare_read(device, count * sizeof(T));
    write_elements(scalars<T>(device), count, dtype, host);
  }
  void read_real(void* host, Dtype dtype, const Real* device, int64_t count) override {
    prepare_read(device, count * sizeof(T));
    write_elements(scalars<T>(device), count, dtype, host);
  }

  bool makes_compact(int, int) const override { return true; }
  void read_places(int32_t* places, const Acc* gradient, int V) override {
    context_.met_rows.read_places(gradient, V, places);
  }

  // Threads share one address space with the model: nothing is reserved, padded, recorded or run ahead. Weights are laid
  // out for products when these first meet them.
  void reserve_workspace(const BatchShape&, int, int64_t) override {}
  size_t workspace_bytes() const override { return context_.products.bytes(); }
  size_t released_bytes() const override { return context_.products.released_bytes(); }
  DeviceMemory device_memory() override { return {0, 0}; }
  BatchShape pad(const BatchShape& shape) const override { return shape; }
  bool replay(const RecordingKey&) override { return false; }
  bool end_recording(const char*) override { return true; }
  void forget_recordings() override {}
  RecordingCounts recordings() const override { return {}; }
  const char* take_warning() override { return nullptr; }
  bool sums_together() const override { return false; }
  int run_ahead() const override { return 1; }

  void start_run() override { std::fill(std::begin(context_.halted), std::end(context_.halted), false); }
  void begin_step(const StepState& state) override { context_.step = state; }
  void use_batch(const Batch& part) override {
    context_.batch = part;
    context_.partition.assign(part.B, part.cu_seqlens);
  }
  void all_reduce(Collective& ranks, const OptimizerSegment* segments, int count, Acc* loss) override {
    bertune::all_reduce(context_, ranks, segments, count, scalars<T>(loss));
  }
  void synchronize() override {}

#define BERTUNE_OPERATION(name, Arguments) \
  void name(const Arguments& args) override { bertune::name<T>(context_, args); }
  BERTUNE_OPERATIONS(BERTUNE_OPERATION)
#undef BERTUNE_OPERATION

 private:
  // Before anybody but an operation reads or writes memory.
  void prepare_read(const void* memory, size_t bytes) {
    context_.lazy_rows.settle<T>({memory, bytes});
    context_.products.read({memory, bytes});
  }
  void prepare_write(const void* memory, size_t bytes) {
    context_.lazy_rows.settle<T>({memory, bytes});
    context_.met_rows.forget({memory, bytes});
    context_.products.written({memory, bytes});
  }

  BlasMemory blas_memory_;
  Context context_;
};

}  // namespace

std::vector<std::string> cpu_precisions() {
  std::vector<std::string> precisions = {"fp32", "fp64"};
  if (onednn::is_fast(onednn::Element::kBF16)) precisions.push_back("bf16");
  if (onednn::is_fast(onednn::Element::kInt8)) precisions.push_back("int8");
  return precisions;
}

std::string product_library() {
  const std::string version = onednn::version();
  return version.empty() ? "" : "oneDNN " + version;
}

std::unique_ptr<Backend> make_cpu_backend(const std::string& precision, int threads) {
  const std::vector<std::string> known = cpu_precisions();
  if (std::find(known.begin(), known.end(), precision) == known.end()) {
    std::string names;
    for (const std::string& name : known) names += (names.empty() ? "" : ", ") + name;
    throw Error("INVALID_OPTION", "Expected one of " + names + " on the CPU but received " + precision);
  }
  if (precision == "fp64") return std::make_unique<CpuBackend<double>>(threads, onednn::Element::kF32);
  const onednn::Element element = precision == "bf16"   ? onednn::Element::kBF16
                                  : precision == "int8" ? onednn::Element::kInt8
                                                        : onednn::Element::kF32;
  return std::make_unique<CpuBackend<float>>(threads, element);
}

}  // namespace bertune
