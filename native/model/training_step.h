// Training steps: forward and backward of their micro-batches, then clip and update. The host runs ahead of the device
// and reads results in between.
#pragma once

#include <cstdint>
#include <vector>

#include "core/collective.h"
#include "model/sequence_classifier.h"

namespace bertune {

// What the model's loss (ModelConfig) takes beside logits and labels. Label smoothing is cross-entropy's alone,
// positive weights are binary cross-entropy's; mean squared error takes none.
struct LossSettings {
  double label_smoothing = 0.0;
  std::vector<double> class_weights;     // (NC) or empty
  std::vector<double> positive_weights;  // (NC) or empty
};

struct StepSettings {
  int batch_size;    // examples of a micro-batch
  int accumulation;  // micro-batches of a step
  uint64_t seed;
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
  void run_gradients(Activations& activations, const MicroBatch& micro_batch);
  // Keeps the results, and behind the last micro-batch of a step clips and updates.
  void finish(Activations& activations, const MicroBatch& micro_batch);
  void run_loss(Activations& activations, double scale);
  RecordingKey key_of(const Activations& activations, const MicroBatch& micro_batch, RecordingKey::Part part) const;

  SequenceClassifier& classifier_;
  const Dataset& dataset_;
  const int32_t* order_;
  const int64_t count_;
  const StepSettings& settings_;
  Collective* const ranks_;
  const uint64_t settings_hash_;  // of what recorded operations were given as arguments
  std::vector<int> examples_;     // of each step given
};

}  // namespace bertune
