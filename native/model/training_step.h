// Training steps: forward and backward of their micro-batches, then clip and update. The host runs ahead of the device
// and reads results in between.
#pragma once

#include <cstdint>
#include <vector>

#include "core/collective.h"
#include "model/sequence_classifier.h"

namespace bertune {

// What the model's loss (ModelConfig) takes beside logits and labels. Label smoothing is cross-entropy's alone and takes
// no focal γ beside it, positive weights are binary cross-entropy's; mean squared error takes none.
struct LossSettings {
  double label_smoothing = 0.0;
  double focal_gamma = 0.0;
  std::vector<double> class_weights;     // (NC) or empty
  std::vector<double> positive_weights;  // (NC) or empty
};

struct StepSettings {
  int batch_size;    // examples of a micro-batch
  int accumulation;  // micro-batches of a step
  int look_ahead;    // micro-batches whose features are made at once, where nothing that they are made of trains
  uint64_t seed;
  bool recompute = false;  // as in BatchLimits
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

// The steps of one call over the examples order[0..count), which a step takes `step_size` at a time.
//
// Several processes share each micro-batch: every rank takes some of its examples, one after the other, and about as many
// tokens as the others. Its part of the loss is then the share of the whole mean that its examples have, gradients are
// summed over the ranks before the update, and so are losses when they are collected: all ranks have the same results.
class TrainingRun {
 public:
  // Uploads the order. The arrays and settings stay the caller's and outlive the run, as do the ranks; null: this process
  // alone.
  TrainingRun(SequenceClassifier& classifier, const Dataset& dataset, const int32_t* order, int64_t count,
              const StepSettings& settings, Collective* ranks = nullptr);

  // Gives the device its next step to do: the run's step `index`, which is step `step` of the training. Nothing is
  // updated where loss or norm is not finite, nor by any step after it.
  void run_step(int64_t index, int64_t step, double learning_rate);
  // The same without the update.
  void compute_gradients(int64_t index, int64_t step, double learning_rate);

  // Whether the run's step `index` is the first of those whose features are made at once: a run that ends before it, and is
  // gone on with, makes all features as if it had not ended.
  bool may_stop(int64_t index) const;

  // Steps that may be given before their results are to be collected.
  int run_ahead() const { return classifier_.backend().run_ahead(); }
  // Waits for the steps given since the last call; their results, in order.
  std::vector<StepResult> collect();

 private:
  struct MicroBatch;

  // Narrows a micro-batch to what this rank takes of it.
  void take_share(MicroBatch& micro_batch) const;
  // Examples of the order weigh so much in the mean of their losses.
  double weight_of(int begin, int count) const;
  void give(int64_t index, int64_t step, double learning_rate, bool update);
  void run(const MicroBatch& micro_batch);
  // The step's examples as a batch, or as part of one whose features there are then.
  Activations& batch_of(StepState& state);
  Activations& featured_part(const StepState& state);
  // The features of the examples from the step's on, for as many micro-batches as it may look ahead.
  void make_features(StepState state);
  void run_gradients(Activations& activations, const MicroBatch& micro_batch);
  // Keeps the results, and behind the last micro-batch of a step clips and updates.
  void finish(Activations& activations, const MicroBatch& micro_batch);
  HeadLoss loss_of(const Activations& activations, double scale) const;
  RecordingKey key_of(const Activations& activations, const MicroBatch& micro_batch, RecordingKey::Part part) const;

  SequenceClassifier& classifier_;
  const Dataset& dataset_;
  const int32_t* order_;
  const int64_t count_;
  const StepSettings& settings_;
  Collective* const ranks_;
  struct {
    int64_t begin = 0, end = 0;
  } featured_;                    // the examples of the order whose features there are
  const uint64_t settings_hash_;  // of what recorded operations were given as arguments
  std::vector<int> examples_;     // of each step given
};

}  // namespace bertune
