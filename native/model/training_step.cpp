#include "model/training_step.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace bertune {
namespace {

double read_scalar(Backend& backend, const Acc* scalar) {
  double value = 0.0;
  backend.read_acc(&value, Dtype::kF64, scalar, 1);
  return value;
}

// Forward, loss and backward of the gathered micro-batch.
void run_micro_batch(Bert& bert, Activations& a, const LossSettings& loss, double loss_scale, bool accumulate) {
  Backend& backend = bert.backend();
  bert.forward(a, true);
  if (!loss.class_weights.empty()) {
    backend.write_acc(a.class_weights, loss.class_weights.data(), Dtype::kF64, bert.config().NC);
  }
  backend.cross_entropy({.NC = bert.config().NC,
                         .label_smoothing = loss.label_smoothing,
                         .loss_scale = loss_scale,
                         .logits = a.head.logits,
                         .class_weights = loss.class_weights.empty() ? nullptr : a.class_weights,
                         .loss = a.loss,
                         .predictions = a.predictions,
                         .dlogits = a.head.dlogits});
  bert.backward(a, accumulate);
}

int count_correct(Backend& backend, const Activations& a, const Dataset& dataset, const int32_t* order) {
  std::vector<int32_t> predictions(a.batch.B);
  backend.copy_out(predictions.data(), a.predictions, predictions.size() * sizeof(int32_t));
  int correct = 0;
  for (size_t b = 0; b < predictions.size(); ++b) correct += predictions[b] == dataset.label(order[b]);
  return correct;
}

}  // namespace

bool StepResult::finite() const { return std::isfinite(loss) && std::isfinite(grad_norm); }

StepResult compute_gradients(Bert& bert, const Dataset& dataset, const int32_t* order, int count, int64_t step,
                             double learning_rate, const StepSettings& settings) {
  BERTUNE_CHECK(dataset.has_labels() && count > 0);
  Backend& backend = bert.backend();
  const int micro_batches = (count + settings.batch_size - 1) / settings.batch_size;
  StepResult result{};
  for (int micro = 0; micro < micro_batches; ++micro) {
    const int begin = micro * settings.batch_size;
    const int examples = std::min(settings.batch_size, count - begin);
    backend.begin_step({.seed = settings.seed,
                        .dropout_step = static_cast<uint32_t>(step * settings.accumulation + micro),
                        .step = static_cast<uint32_t>(step + 1),
                        .learning_rate = learning_rate});
    Activations& a = bert.gather(dataset, order + begin, examples, true);
    run_micro_batch(bert, a, settings.loss, 1.0 / micro_batches, micro > 0);
    backend.synchronize();
    result.loss += read_scalar(backend, a.loss) / micro_batches;
    result.correct += count_correct(backend, a, dataset, order + begin);
    result.examples += examples;
    if (micro + 1 < micro_batches) continue;
    const std::vector<OptimizerSegment>& segments = bert.parameters().segments();
    backend.grad_norm(segments.data(), static_cast<int>(segments.size()), a.grad_norm);
    result.grad_norm = read_scalar(backend, a.grad_norm);
  }
  return result;
}

StepResult run_step(Bert& bert, const Dataset& dataset, const int32_t* order, int count, int64_t step,
                    double learning_rate, const StepSettings& settings) {
  const StepResult result = compute_gradients(bert, dataset, order, count, step, learning_rate, settings);
  if (!result.finite()) return result;
  const std::vector<OptimizerSegment>& segments = bert.parameters().segments();
  bert.backend().adamw(segments.data(), static_cast<int>(segments.size()), settings.optimizer, bert.last_loss());
  bert.weights_changed();
  return result;
}

}  // namespace bertune
