#include "cpu/cpu_backend.h"

#include <cstring>

#include "cpu/activation.h"
#include "cpu/adamw.h"
#include "cpu/attention.h"
#include "cpu/cast.h"
#include "cpu/context.h"
#include "cpu/dropout.h"
#include "cpu/embedding.h"
#include "cpu/gather.h"
#include "cpu/layernorm.h"
#include "cpu/linear.h"
#include "cpu/lora.h"
#include "cpu/loss.h"
#include "cpu/memory.h"
#include "cpu/rows.h"
#include "cpu/scalar.h"

namespace bertune {
namespace {

template <typename T>
class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(int threads) : context_(threads) {}

  size_t real_size() const override { return sizeof(T); }
  size_t acc_size() const override { return sizeof(T); }
  bool weights_are_master() const override { return true; }

  Memory* allocate(size_t bytes, const char* what) override { return allocate_memory(bytes, what); }
  void copy_in(void* device, const void* host, size_t bytes) override { std::memcpy(device, host, bytes); }
  void copy_out(void* host, const void* device, size_t bytes) override { std::memcpy(host, device, bytes); }
  void zero(void* device, size_t bytes) override {
    context_.pool.run([&](int thread) {
      const size_t begin = bytes / context_.threads() * thread;
      const size_t end = thread + 1 == context_.threads() ? bytes : bytes / context_.threads() * (thread + 1);
      std::memset(static_cast<char*>(device) + begin, 0, end - begin);
    });
  }
  void write_weight(Real* weight, Acc* master, const void* host, Dtype dtype, int64_t count) override {
    read_elements(host, dtype, count, scalars<T>(weight));
    if (scalars<T>(master) != scalars<T>(weight)) read_elements(host, dtype, count, scalars<T>(master));
  }
  void write_acc(Acc* device, const void* host, Dtype dtype, int64_t count) override {
    read_elements(host, dtype, count, scalars<T>(device));
  }
  void read_acc(void* host, Dtype dtype, const Acc* device, int64_t count) override {
    write_elements(scalars<T>(device), count, dtype, host);
  }
  void read_real(void* host, Dtype dtype, const Real* device, int64_t count) override {
    write_elements(scalars<T>(device), count, dtype, host);
  }

  void begin_step(const StepState& state) override { context_.step = state; }
  void gather_batch(const GatherBatch& args, Batch& batch) override { bertune::gather_batch(context_, args, batch); }
  void synchronize() override {}

  void embedding_forward(const EmbeddingForward& args) override { bertune::embedding_forward<T>(context_, args); }
  void embedding_backward(const EmbeddingBackward& args) override { bertune::embedding_backward<T>(context_, args); }
  void linear_forward(const LinearForward& args) override { bertune::linear_forward<T>(context_, args); }
  void linear_backward_input(const LinearBackwardInput& args) override {
    bertune::linear_backward_input<T>(context_, args);
  }
  void linear_backward_weight(const LinearBackwardWeight& args) override {
    bertune::linear_backward_weight<T>(context_, args);
  }
  void activation_forward(const ActivationForward& args) override { bertune::activation_forward<T>(context_, args); }
  void activation_backward(const ActivationBackward& args) override { bertune::activation_backward<T>(context_, args); }
  void dropout_apply(const DropoutApply& args) override { bertune::dropout_apply<T>(context_, args); }
  void dropout_residual_layernorm_forward(const DropoutResidualLayernormForward& args) override {
    bertune::dropout_residual_layernorm_forward<T>(context_, args);
  }
  void dropout_residual_layernorm_backward(const DropoutResidualLayernormBackward& args) override {
    bertune::dropout_residual_layernorm_backward<T>(context_, args);
  }
  void attention_forward(const AttentionForward& args) override { bertune::attention_forward<T>(context_, args); }
  void attention_backward(const AttentionBackward& args) override { bertune::attention_backward<T>(context_, args); }
  void lora_forward_add(const LoraForwardAdd& args) override { bertune::lora_forward_add<T>(context_, args); }
  void lora_backward(const LoraBackward& args) override { bertune::lora_backward<T>(context_, args); }
  void first_rows_forward(const FirstRowsForward& args) override { bertune::first_rows_forward<T>(context_, args); }
  void first_rows_backward(const FirstRowsBackward& args) override { bertune::first_rows_backward<T>(context_, args); }
  void cross_entropy(const CrossEntropy& args) override { bertune::cross_entropy<T>(context_, args); }
  void cast_to_real(const CastToReal& args) override { bertune::cast_to_real<T>(context_, args); }
  void cast_to_acc(const CastToAcc& args) override { bertune::cast_to_acc<T>(context_, args); }
  void grad_norm(const OptimizerSegment* segments, int count, Acc* norm) override {
    bertune::grad_norm<T>(context_, segments, count, norm);
  }
  void adamw(const OptimizerSegment* segments, int count, const OptimizerSettings& settings, const Acc* loss) override {
    bertune::adamw<T>(context_, segments, count, settings, loss);
  }

 private:
  Context context_;
};

}  // namespace

std::unique_ptr<Backend> make_cpu_backend_float(int threads) { return std::make_unique<CpuBackend<float>>(threads); }
std::unique_ptr<Backend> make_cpu_backend_double(int threads) { return std::make_unique<CpuBackend<double>>(threads); }

}  // namespace bertune
