// The work of a session's thread: nothing of JavaScript here.
#include "addon/session_core.h"

#include <algorithm>
#include <string>

#include "core/device.h"
#include "core/error.h"
#include "model/inference.h"

namespace bertune {

void SessionCore::build() {
  try {
    backend = make_backend(config.device, config.precision, config.threads);
    classifier = std::make_unique<SequenceClassifier>(*backend, config.model, config.parameters, config.loras);
    update_figures();
  } catch (...) {
    // Given back now, not when the session that nobody gets is collected.
    classifier.reset();
    backend.reset();
    throw;
  }
}

void SessionCore::release() {
  ranks.reset();
  datasets.clear();
  staging.reset();
  classifier.reset();
  backend.reset();
  update_figures();
}

std::string SessionCore::take_warning() {
  const char* warning = backend ? backend->take_warning() : nullptr;
  return warning != nullptr ? warning : "";
}

void SessionCore::update_figures() {
  const std::lock_guard<std::mutex> lock(figures_mutex_);
  figures_.parameters = figures_.gradients = figures_.optimizer = figures_.activations = figures_.datasets = 0;
  figures_.adapters = figures_.workspace = 0;
  if (classifier) {
    figures_.parameters = classifier->parameters().weight_bytes();
    figures_.gradients = classifier->parameters().gradient_bytes();
    figures_.optimizer = classifier->parameters().optimizer_bytes();
    figures_.activations = classifier->activation_bytes();
    figures_.adapters = classifier->adapters().bytes();
  }
  for (const auto& [handle, dataset] : datasets) figures_.datasets += dataset->bytes();
  if (staging) figures_.datasets += staging->bytes();
  if (backend) {
    figures_.parameters -= backend->released_bytes();
    figures_.workspace = backend->workspace_bytes();
    figures_.device = std::max(figures_.device, static_cast<size_t>(backend->device_memory().used));
  }
  figures_.peak = std::max(figures_.peak, figures_.total());
}

MemoryFigures SessionCore::current_figures() {
  const std::lock_guard<std::mutex> lock(figures_mutex_);
  return figures_;
}

Dataset& SessionCore::dataset(int32_t handle) {
  const auto found = datasets.find(handle);
  if (found == datasets.end()) {
    throw Error("NOT_FOUND", "Expected a data set of this session but received the handle " + std::to_string(handle));
  }
  return *found->second;
}

namespace {

// Of the micro-batches of training: consecutive runs of batch_size, the last one perhaps shorter.
std::vector<int32_t> starts_of(size_t count, int64_t batch_size) {
  std::vector<int32_t> starts;
  for (size_t start = 0; start < count; start += batch_size) starts.push_back(static_cast<int32_t>(start));
  starts.push_back(static_cast<int32_t>(count));
  return starts;
}

}  // namespace

void SessionCore::predict(const DatasetView& view, const std::vector<int32_t>& order,
                          const std::vector<int32_t>& starts, void* logits, const std::function<bool()>& proceed) {
  if (!staging) staging = std::make_unique<Dataset>(*backend, config.model);
  staging->assign(view);
  staging->check_order(order.data(), static_cast<int64_t>(order.size()));
  infer(*classifier, *staging, order, starts, nullptr, host_dtype(), logits, proceed);
}

std::vector<uint8_t> SessionCore::forward_mixed(const Dataset& data, const std::vector<int32_t>& order,
                                                const std::vector<int32_t>& starts, const std::vector<int32_t>& handles,
                                                const std::function<bool()>& proceed) {
  Slots slots;
  slots.reserve(handles.size());
  for (const int32_t handle : handles) slots.push_back(classifier->adapters().slot(handle));
  const bool mixes =
      !classifier->adapters().empty();  // otherwise every slot is the model itself, and there are no tables
  const int classes = mixes ? classifier->adapters().classes() : config.model.NC;
  std::vector<uint8_t> logits(order.size() * static_cast<size_t>(classes) * host_size());
  infer(*classifier, data, order, starts, mixes ? &slots : nullptr, host_dtype(), logits.data(), proceed);
  return logits;
}

Activations& SessionCore::gather_for_inference(const Dataset& data, const std::vector<int32_t>& order) {
  data.check_order(order.data(), static_cast<int64_t>(order.size()));
  if (order.empty()) throw Error("INVALID_DATA", "Expected at least one example in order");
  const int count = static_cast<int>(order.size());
  classifier->reserve({}, largest_batch(data, order, {0, count}));
  classifier->run().write_order(order.data(), count);
  update_figures();
  Activations& activations = classifier->size_batch(data, order.data(), count, false, {classifier->selected()});
  StepState state{};
  state.B = activations.live.B;
  state.T = activations.live.T;
  state.examples = data.in_order(classifier->run().order());
  backend->begin_step(state);
  classifier->gather(activations, false);
  return activations;
}

Dataset& SessionCore::prepare(const TrainPlan& plan) {
  Dataset& data = dataset(plan.dataset);
  data.check_order(plan.order.data(), static_cast<int64_t>(plan.order.size()));
  data.check_loss(config.model.loss);
  for (const int32_t variant : plan.settings.variants) {
    if (variant >= classifier->variants()) throw Error("INVALID_OPTION", "Expected a variant of the session");
    if (classifier->parameters().segments(variant).empty()) {
      throw Error("INVALID_OPTION", "Expected at least one trainable parameter to train");
    }
  }
  const int micro_batches = classifier->looks_ahead() && !ranks ? plan.settings.look_ahead : 1;
  const std::vector<int32_t> starts = starts_of(plan.order.size(), int64_t{micro_batches} * plan.settings.batch_size);
  BatchLimits limits = largest_batch(data, plan.order, starts);
  limits.recompute = plan.settings.recompute;
  limits.step_tokens = largest_batch(data, plan.order, starts_of(plan.order.size(), plan.settings.step_size())).tokens;
  classifier->reserve(limits, {});
  update_figures();
  return data;
}

std::vector<TrainOutcome> SessionCore::train(const TrainPlan& plan, const std::function<bool()>& proceed) {
  const Dataset& data = prepare(plan);
  TrainingRun run(*classifier, data, plan.order.data(), static_cast<int64_t>(plan.order.size()), plan.settings,
                  ranks.get());
  update_figures();
  std::vector<TrainOutcome> outcomes(plan.settings.variants.size());
  const auto steps = static_cast<int64_t>(plan.learning_rates.size() / outcomes.size());
  int given = 0;
  for (int64_t step = 0; step < steps; ++step) {
    if (run.may_stop(step) && !proceed()) {
      for (TrainOutcome& outcome : outcomes) outcome.stopped = "aborted";
      break;
    }
    run.run_step(step, plan.first_step + step, plan.rates_of(step));
    if (++given < run.run_ahead()) continue;
    if (!add_results(run, outcomes)) return outcomes;
    given = 0;
  }
  add_results(run, outcomes);
  return outcomes;
}

bool SessionCore::add_results(TrainingRun& run, std::vector<TrainOutcome>& outcomes) {
  const std::vector<std::vector<StepResult>> results = run.collect();
  bool finite = true;
  for (size_t i = 0; i < outcomes.size(); ++i) {
    TrainOutcome& outcome = outcomes[i];
    for (const StepResult& result : results[i]) {
      outcome.losses.push_back(result.loss);
      outcome.grad_norms.push_back(result.grad_norm);
      if (!result.finite()) {
        outcome.stopped = "non-finite";
        finite = false;
        break;
      }
      outcome.correct += result.correct;
      outcome.examples += result.examples;
      ++outcome.steps;
    }
  }
  return finite;
}

GradientOutcome SessionCore::gradients(const TrainPlan& plan) {
  const Dataset& data = prepare(plan);
  const int64_t count = std::min<int64_t>(plan.settings.batch_size, static_cast<int64_t>(plan.order.size()));
  TrainingRun run(*classifier, data, plan.order.data(), count, plan.settings);
  update_figures();
  run.compute_gradients(0, plan.first_step, plan.rates_of(0));
  const StepResult result = run.collect().front().front();
  GradientOutcome outcome{result.loss, result.grad_norm,
                          std::vector<double>(static_cast<size_t>(count) * config.model.NC)};
  backend->read_real(outcome.logits.data(), Dtype::kF64, classifier->training_logits(),
                     static_cast<int64_t>(outcome.logits.size()));
  return outcome;
}

}  // namespace bertune
