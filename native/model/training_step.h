// Training steps: forward and backward of their micro-batches, then clipping and update. The host runs ahead of the device
// and reads results in between.
#pragma once

#include <cstdint>
#include <vector>

#include "core/collective.h"
#include "model/sequence_classifier.h"

namespace bertune {

// What the model's loss (ModelConfig) takes beside logits and labels. Label smoothing is for cross-entropy alone, without a
// focal γ; positive weights are for binary cross-entropy; mean squared error takes none of these.
struct LossSettings {
  double label_smoothing = 0.0;
  double focal_gamma = 0.0;
  std::vector<double> class_weights;     // (NC) or empty
  std::vector<double> positive_weights;  // (NC) or empty
};

struct StepSettings {
  int batch_size;    // examples of a micro-batch
  int accumulation;  // micro-batches of a step
  int look_ahead;    // micro-batches whose features are computed at once, if nothing that they are made of trains
  uint64_t seed;
  bool recompute = false;               // as in BatchLimits
  std::vector<int32_t> variants = {0};  // that train
  LossSettings loss;
  OptimizerSettings optimizer;

  int step_size() const { return batch_size * accumulation; }
};

struct StepResult {
  double loss;       // mean of the micro-batches' losses
  double grad_norm;  // before clipping
  int correct;       // predictions that were right, dropout on
  int examples;
  bool finite() const;
};

// The steps of one call over the examples order[0..count); each step takes `step_size` of them.
//
// Several variants train on the same micro-batches, each a part of a batch, with the results that each would have alone.
//
// Several processes share each micro-batch: every rank takes some consecutive examples, with about as many tokens as the
// others'. Its part of the loss is its examples' share of the whole mean. Gradients are summed over the ranks before the
// update, and losses when they are collected, so all ranks have the same results.
class TrainingRun {
 public:
  // Uploads the order. The caller keeps the arrays, the settings and the ranks, which must outlive the run. Ranks that are
  // null: this process alone.
  TrainingRun(SequenceClassifier& classifier, const Dataset& dataset, const int32_t* order, int64_t count,
              const StepSettings& settings, Collective* ranks = nullptr);
  ~TrainingRun();
  TrainingRun(const TrainingRun&) = delete;
  TrainingRun& operator=(const TrainingRun&) = delete;

  // Gives the device its next step: the run's step `index`, which is step `step` of the training. A step whose loss or norm
  // is not finite updates nothing of its variant, nor does any step after it. Its update may be made beside the next step, or
  // by collect. learning_rates: one for each variant.
  void run_step(int64_t index, int64_t step, const std::vector<double>& learning_rates);
  // The same without the update.
  void compute_gradients(int64_t index, int64_t step, const std::vector<double>& learning_rates);

  // Whether the run's step `index` is the first of those whose features are computed at once. A run that ends before it and
  // is continued computes all features as if it had not ended.
  bool may_stop(int64_t index) const;

  // How many steps may be given before their results must be collected.
  int run_ahead() const { return classifier_.backend().run_ahead(); }
  // Waits for the steps given since the last call; returns their results for each variant, in order.
  std::vector<std::vector<StepResult>> collect();

 private:
  struct MicroBatch;

  // Narrows a micro-batch to this rank's part.
  void take_share(MicroBatch& micro_batch) const;
  // The weight of these examples of the order in the mean of their losses.
  double weight_of(int begin, int count) const;
  void give(int64_t index, int64_t step, const std::vector<double>& learning_rates, bool update);
  int parts() const { return static_cast<int>(settings_.variants.size()); }
  // How many examples of the order a full micro-batch has.
  int batch_stride() const;
  // The order of examples in which each micro-batch stands as often as it has parts, each with its fillers.
  std::vector<int32_t> in_parts(const int32_t* order, int64_t count) const;
  void run(const MicroBatch& micro_batch);
  // The step's examples as a batch, or as part of a batch whose features are computed.
  Activations& batch_of(StepState& state);
  Activations& featured_part(const StepState& state);
  // Computes the features of the step's examples and of those that follow, for as many micro-batches as it may look ahead.
  void make_features(StepState state);
  void run_gradients(Activations& activations, const MicroBatch& micro_batch);
  // Keeps the results, and after the last micro-batch of a step clips and updates.
  void finish(Activations& activations, const MicroBatch& micro_batch);
  // Makes the update that the last step left, if it did.
  void finish_update();
  HeadLoss loss_of(const Activations& activations, int part, double scale) const;
  void finish_part(Activations& activations, const MicroBatch& micro_batch, int part);
  RecordingKey key_of(const Activations& activations, const MicroBatch& micro_batch, RecordingKey::Part part) const;

  SequenceClassifier& classifier_;
  const Dataset& dataset_;
  const int64_t count_;
  const StepSettings& settings_;
  Collective* const ranks_;
  const bool defers_updates_;
  bool update_is_due_ = false;
  const std::vector<int32_t> order_;  // as in_parts made it
  struct {
    int64_t begin = 0, end = 0;
  } featured_;                    // the examples of the order whose features are computed
  const uint64_t settings_hash_;  // of the arguments of recorded operations
  std::vector<int> examples_;     // of each step given
};

}  // namespace bertune
