// The parts of a session that live on its own thread, without anything of JavaScript.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "addon/session_config.h"
#include "core/collective.h"
#include "model/sequence_classifier.h"
#include "model/training_step.h"

namespace bertune {

// Bytes, by arena.
struct MemoryFigures {
  size_t parameters = 0, gradients = 0, optimizer = 0, activations = 0, datasets = 0, adapters = 0, workspace = 0,
         peak = 0;
  size_t device = 0;  // the most ever in use on the whole device; 0 on the CPU
  size_t total() const { return parameters + gradients + optimizer + activations + datasets + adapters + workspace; }
};

// NativeTrainPlan of lib/native/index.ts.
struct TrainPlan {
  int32_t dataset;
  std::vector<int32_t> order;
  std::vector<double> learning_rates;  // (steps, variants)
  int64_t first_step;
  StepSettings settings;

  std::vector<double> rates_of(int64_t step) const {
    const double* rates = learning_rates.data() + step * settings.variants.size();
    return {rates, rates + settings.variants.size()};
  }
};

// NativeTrainResult of lib/native/index.ts.
struct TrainOutcome {
  std::vector<double> losses, grad_norms;
  int64_t steps = 0, correct = 0, examples = 0;
  const char* stopped = "done";
};

struct GradientOutcome {
  double loss, grad_norm;
  std::vector<double> logits;  // (B,NC)
};

struct SessionCore {
  SessionConfig config;
  std::unique_ptr<Backend> backend;
  std::unique_ptr<SequenceClassifier> classifier;
  std::unique_ptr<Collective> ranks;  // null: this process alone
  std::unordered_map<int32_t, std::unique_ptr<Dataset>> datasets;
  std::unique_ptr<Dataset> staging;  // the examples of predict; its memory is kept from call to call
  int32_t next_dataset = 1;

  // Every abort() raises the count; a job that was submitted under a lower one stops.
  std::atomic<uint64_t> aborts{0};

  void build();
  // Frees all memory and the backend's threads.
  void release();
  // Throws NOT_FOUND.
  Dataset& dataset(int32_t handle);
  // Runs the plan's steps until they are done, `proceed` returns false or a loss is not finite.
  // The outcome for each of the plan's variants. One that is not finite ends the call for all.
  std::vector<TrainOutcome> train(const TrainPlan& plan, const std::function<bool()>& proceed);
  // Gradients of the plan's first micro-batch, without an update.
  GradientOutcome gradients(const TrainPlan& plan);

  // Logits (N,NC), as `host_dtype`, of the examples in `order`, which are on the device for this call only. `starts`: the
  // starts of the batches, and the end.
  void predict(const DatasetView& view, const std::vector<int32_t>& order, const std::vector<int32_t>& starts,
               void* logits, const std::function<bool()>& proceed);

  // Logits of the examples in `order`, as `host_dtype`: (N,NC), or with `handles` (N) of adapters, rows with as many
  // elements as any adapter has classes at most.
  std::vector<uint8_t> forward_mixed(const Dataset& data, const std::vector<int32_t>& order,
                                     const std::vector<int32_t>& starts, const std::vector<int32_t>& handles,
                                     const std::function<bool()>& proceed);

  // Makes one batch of the examples.
  Activations& gather_for_inference(const Dataset& data, const std::vector<int32_t>& order);

  // The backend's warning, given once; empty: none. On the session's thread.
  std::string take_warning();

  // Updates the figures; on the session's thread, after anything was allocated or freed.
  void update_figures();
  // The latest figures; on any thread.
  MemoryFigures current_figures();

  // The element type that JavaScript sees.
  Dtype host_dtype() const { return config.precision == "fp64" ? Dtype::kF64 : Dtype::kF32; }
  size_t host_size() const { return host_dtype() == Dtype::kF64 ? sizeof(double) : sizeof(float); }

 private:
  // Checks the plan and reserves memory for it.
  Dataset& prepare(const TrainPlan& plan);
  // Adds the results of the steps given so far to the outcomes. False if one was not finite, which ends the run.
  static bool add_results(TrainingRun& run, std::vector<TrainOutcome>& outcomes);

  std::mutex figures_mutex_;
  MemoryFigures figures_;
};

}  // namespace bertune
