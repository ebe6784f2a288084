// A training step: forward and backward of its micro-batches, then clip and update.
#pragma once

#include <cstdint>
#include <vector>

#include "model/bert.h"

namespace bertune {

struct LossSettings {
  double label_smoothing = 0.0;
  std::vector<double> class_weights;  // (NC) or empty
};

struct StepSettings {
  int batch_size;    // examples of a micro-batch
  int accumulation;  // micro-batches of a step
  uint64_t seed;
  LossSettings loss;
  OptimizerSettings optimizer;
};

struct StepResult {
  double loss;       // mean of the micro-batches' losses
  double grad_norm;  // before clipping
  int correct;       // predictions that were right, dropout on
  int examples;
  bool finite() const;
};

// Gradients of one step's examples, order[0..count), and their norm. `step` counts from 0.
StepResult compute_gradients(Bert& bert, const Dataset& dataset, const int32_t* order, int count, int64_t step,
                             double learning_rate, const StepSettings& settings);

// The same, followed by clip and AdamW. Nothing is updated where loss or norm is not finite.
StepResult run_step(Bert& bert, const Dataset& dataset, const int32_t* order, int count, int64_t step,
                    double learning_rate, const StepSettings& settings);

}  // namespace bertune
