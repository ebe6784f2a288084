#include "model/training_step.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "core/recorded.h"

namespace bertune {
namespace {

// FNV-1a.
uint64_t hash_of(const StepSettings& settings, bool defers_updates) {
  const OptimizerSettings& optimizer = settings.optimizer;
  const double values[] = {settings.loss.label_smoothing,
                           settings.loss.focal_gamma,
                           settings.loss.class_weights.empty() ? 0.0 : 1.0,
                           settings.loss.positive_weights.empty() ? 0.0 : 1.0,
                           optimizer.beta1,
                           optimizer.beta2,
                           optimizer.eps,
                           optimizer.weight_decay,
                           optimizer.max_grad_norm,
                           defers_updates ? 1.0 : 0.0};
  unsigned char bytes[sizeof values];
  std::memcpy(bytes, values, sizeof values);
  uint64_t hash = 14695981039346656037ull;
  for (const unsigned char byte : bytes) hash = (hash ^ byte) * 1099511628211ull;
  return hash;
}

void run_loss(Backend& backend, const HeadLoss& loss) {
  if (const auto* args = std::get_if<CrossEntropy>(&loss)) return backend.cross_entropy(*args);
  if (const auto* args = std::get_if<BinaryCrossEntropy>(&loss)) return backend.binary_cross_entropy(*args);
  backend.mean_squared_error(std::get<MeanSquaredError>(loss));
}

}  // namespace

bool StepResult::finite() const { return std::isfinite(loss) && std::isfinite(grad_norm); }

struct TrainingRun::MicroBatch {
  StepState state;
  int index, count;  // its place among the micro-batches of its step
  bool update;

  bool first() const { return index == 0; }
  bool last() const { return index + 1 == count; }
  double scale() const { return 1.0 / count; }
};

TrainingRun::TrainingRun(SequenceClassifier& classifier, const Dataset& dataset, const int32_t* order, int64_t count,
                         const StepSettings& settings, Collective* ranks)
    : classifier_(classifier),
      dataset_(dataset),
      count_(count),
      settings_(settings),
      ranks_(ranks),
      defers_updates_(ranks == nullptr && classifier.defers_updates()),
      order_(in_parts(order, count)),
      settings_hash_(hash_of(settings, defers_updates_)) {
  BERTUNE_CHECK(count > 0);
  Backend& backend = classifier.backend();
  classifier.run().reserve_results(int64_t{run_ahead()} * parts());
  classifier.run().write_order(order_.data(), static_cast<int64_t>(order_.size()));
  const auto upload = [&](const std::vector<double>& weights, Acc* device) {
    if (!weights.empty()) backend.write_acc(device, weights.data(), Dtype::kF64, classifier.config().NC);
  };
  upload(settings.loss.class_weights, classifier.class_weights());
  upload(settings.loss.positive_weights, classifier.positive_weights());
  backend.start_run();
}

TrainingRun::~TrainingRun() {
  try {
    finish_update();
  } catch (const std::exception&) {
    // Something else has failed before, or collect would have made it.
  }
}

int TrainingRun::batch_stride() const {
  return parts() == 1 ? settings_.batch_size : parts() * (settings_.batch_size + classifier_.fillers());
}

std::vector<int32_t> TrainingRun::in_parts(const int32_t* order, int64_t count) const {
  if (parts() == 1) return {order, order + count};
  const int fillers = classifier_.fillers();
  std::vector<int32_t> all;
  for (int64_t begin = 0; begin < count; begin += settings_.batch_size) {
    std::vector<int32_t> part(order + begin, order + std::min(begin + settings_.batch_size, count));
    int tokens = 0;
    for (const int32_t example : part) tokens += dataset_.length(example);
    const int rest = classifier_.tokens_of_part(tokens) - tokens;
    for (int i = 0; i < fillers; ++i) part.push_back(dataset_.filler(rest / fillers + (i < rest % fillers ? 1 : 0)));
    for (int i = 0; i < parts(); ++i) all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

void TrainingRun::run_step(int64_t index, int64_t step, const std::vector<double>& learning_rates) {
  give(index, step, learning_rates, true);
  classifier_.weights_changed();
}

void TrainingRun::compute_gradients(int64_t index, int64_t step, const std::vector<double>& learning_rates) {
  give(index, step, learning_rates, false);
}

bool TrainingRun::may_stop(int64_t index) const {
  return index * settings_.step_size() >= featured_.end || !classifier_.looks_ahead();
}

void TrainingRun::give(int64_t index, int64_t step, const std::vector<double>& learning_rates, bool update) {
  const int64_t begin = index * settings_.step_size();
  const int count = static_cast<int>(std::min<int64_t>(settings_.step_size(), count_ - begin));
  const int micro_batches = (count + settings_.batch_size - 1) / settings_.batch_size;
  for (int micro = 0; micro < micro_batches; ++micro) {
    const int offset = micro * settings_.batch_size;
    MicroBatch micro_batch{};
    micro_batch.state = {.seed = settings_.seed,
                         .dropout_step = static_cast<uint32_t>(step * settings_.accumulation + micro),
                         .step = static_cast<uint32_t>(step + 1),
                         .learning_rates = {},
                         .order_begin = static_cast<int32_t>((begin + offset) / settings_.batch_size * batch_stride()),
                         .B = std::min(settings_.batch_size, count - offset),
                         .T = 0,
                         .slot = static_cast<int32_t>(examples_.size()),
                         .loss_B = 0,
                         .kept_logits = nullptr,
                         .examples = dataset_.in_order(classifier_.run().order())};
    for (int i = 0; i < parts(); ++i) micro_batch.state.learning_rates[settings_.variants[i]] = learning_rates[i];
    micro_batch.index = micro;
    micro_batch.count = micro_batches;
    micro_batch.update = update;
    if (ranks_) take_share(micro_batch);
    run(micro_batch);
  }
  examples_.push_back(count);
}

void TrainingRun::take_share(MicroBatch& micro_batch) const {
  StepState& state = micro_batch.state;
  const int32_t* order = order_.data() + state.order_begin;
  const int B = state.B, rank = ranks_->rank(), size = ranks_->size();
  std::vector<int64_t> tokens(B + 1, 0);  // before each example
  for (int i = 0; i < B; ++i) tokens[i + 1] = tokens[i] + dataset_.length(order[i]);
  const auto begin_of = [&](int part) {  // an example is of the rank that its middle falls to
    int i = 0;
    while (i < B && (tokens[i] + tokens[i + 1]) * size < 2 * part * tokens[B]) ++i;
    return i;
  };
  int begin = begin_of(rank), end = rank + 1 == size ? B : begin_of(rank + 1);
  const bool has_none = begin == end;
  state.counted = has_none ? 0 : 1;
  if (has_none) {
    // It goes along with an example that counts for nothing.
    begin = std::min(begin, B - 1);
    end = begin + 1;
  }
  state.share = has_none ? 0 : weight_of(state.order_begin + begin, end - begin) / weight_of(state.order_begin, B);
  state.order_begin += begin;
  state.B = end - begin;
  state.tokens_before = static_cast<uint32_t>(tokens[begin]);
  state.sequences_before = static_cast<uint32_t>(begin);
}

double TrainingRun::weight_of(int begin, int count) const {
  const std::vector<double>& weights = settings_.loss.class_weights;
  if (weights.empty() || classifier_.config().loss != Loss::kCrossEntropy) return count;
  double sum = 0;
  for (int i = begin; i < begin + count; ++i) sum += weights[dataset_.label(order_[i])];
  return sum;
}

void TrainingRun::run(const MicroBatch& micro_batch) {
  Backend& backend = classifier_.backend();
  StepState state = micro_batch.state;
  state.loss_B = state.B;
  if (parts() > 1) state.B = parts() * (state.B + classifier_.fillers());
  Activations& a = classifier_.looks_ahead() ? featured_part(state) : batch_of(state);
  backend.begin_step(state);
  // What is exchanged with other ranks is no part of a recording.
  using Part = RecordingKey::Part;
  const bool reduces = ranks_ != nullptr && micro_batch.last();
  run_recorded(backend, key_of(a, micro_batch, reduces ? Part::kGradients : Part::kWhole), [&] {
    run_gradients(a, micro_batch);
    if (!reduces) finish(a, micro_batch);
  });
  if (micro_batch.last() && micro_batch.update) update_is_due_ = defers_updates_;
  if (!reduces) return;
  const std::vector<OptimizerSegment>& segments = classifier_.parameters().segments();
  backend.all_reduce(*ranks_, segments.data(), static_cast<int>(segments.size()), a.loss);
  run_recorded(backend, key_of(a, micro_batch, Part::kUpdate), [&] { finish(a, micro_batch); });
}

Activations& TrainingRun::batch_of(StepState& state) {
  Activations& a =
      classifier_.size_batch(dataset_, order_.data() + state.order_begin, state.B, true, settings_.variants);
  state.T = a.live.T;
  return a;
}

Activations& TrainingRun::featured_part(const StepState& state) {
  if (state.order_begin < featured_.begin || state.order_begin >= featured_.end) make_features(state);
  Activations& a = classifier_.training_activations();
  classifier_.use_part(a, static_cast<int>(state.order_begin - featured_.begin), state.B);
  return a;
}

void TrainingRun::make_features(StepState state) {
  Backend& backend = classifier_.backend();
  // Ranks take parts of micro-batches, which do not stand one behind the other.
  if (!ranks_) {
    const int64_t most = int64_t{settings_.look_ahead} * settings_.batch_size;
    state.B = static_cast<int>(std::min(most, count_ - state.order_begin));
  }
  featured_ = {state.order_begin, state.order_begin + state.B};
  Activations& a = batch_of(state);
  backend.begin_step(state);
  const RecordingKey key{.pass = RecordingKey::Pass::kFeatures,
                         .batch = {a.batch.B, a.batch.T, a.batch.max_length},
                         .micro_batch = settings_.batch_size};
  run_recorded(backend, key, [&] { classifier_.make_features(a, settings_.batch_size); });
}

void TrainingRun::run_gradients(Activations& a, const MicroBatch& micro_batch) {
  Backend& backend = classifier_.backend();
  const bool accumulate = !micro_batch.first();
  if (classifier_.looks_ahead()) {
    const HeadLoss loss = loss_of(a, 0, micro_batch.scale());
    if (classifier_.learns_head_at_once()) return classifier_.learn_head(a, loss, accumulate);
    classifier_.classify(a);
    run_loss(backend, loss);
    return classifier_.backward_head(a, accumulate);
  }
  const bool updates = defers_updates_ && micro_batch.update && micro_batch.first();
  std::vector<int> marks;
  if (updates) marks = classifier_.update_aside(settings_.optimizer);
  classifier_.gather(a, true);
  // In the step, as its weights have changed in the one before.
  if (micro_batch.first()) classifier_.prepare_step();
  classifier_.forward(a, true, nullptr, updates ? &marks : nullptr);
  for (int part = 0; part < parts(); ++part) {
    classifier_.use_part_of(a, part);
    run_loss(backend, loss_of(a, part, micro_batch.scale()));
  }
  classifier_.backward(a, accumulate);
  if (micro_batch.last()) classifier_.finish_gradients();
}

void TrainingRun::finish(Activations& a, const MicroBatch& micro_batch) {
  for (int part = 0; part < parts(); ++part) {
    if (parts() > 1) classifier_.use_part_of(a, part);
    finish_part(a, micro_batch, part);
  }
}

void TrainingRun::finish_part(Activations& a, const MicroBatch& micro_batch, int part) {
  Backend& backend = classifier_.backend();
  const int variant = settings_.variants[part];
  const std::vector<OptimizerSegment>& segments = classifier_.parameters().segments(variant);
  const int count = static_cast<int>(segments.size());
  const int64_t results = int64_t{part} * run_ahead();
  const int32_t* predictions = a.predictions + (parts() > 1 ? part * a.parts.sequences : 0);
  Acc* loss_of_part = offset(backend, a.loss, part);
  Acc* norm = offset(backend, a.grad_norm, part);
  const RunMemory& run = classifier_.run();
  const Loss loss = classifier_.config().loss;
  const KeepStep keep{.add = !micro_batch.first(),
                      .scale = micro_batch.scale(),
                      .loss = loss_of_part,
                      .predictions = loss == Loss::kCrossEntropy ? predictions : nullptr,
                      .right = loss == Loss::kBinaryCrossEntropy ? predictions : nullptr,
                      .norm = micro_batch.last() ? norm : nullptr,
                      .losses = offset(backend, run.losses(), results),
                      .norms = offset(backend, run.norms(), results),
                      .correct = run.correct() + results};
  if (!micro_batch.last()) return backend.keep_step(keep);
  const bool defers = micro_batch.update && defers_updates_;
  backend.grad_norm({segments.data(), count, norm, variant, &keep, defers});
  if (micro_batch.update && !defers) {
    backend.adamw({segments.data(), count, settings_.optimizer, loss_of_part, variant});
  }
}

void TrainingRun::finish_update() {
  if (!update_is_due_) return;
  const std::vector<OptimizerSegment>& segments = classifier_.parameters().segments();
  const int count = static_cast<int>(segments.size());
  classifier_.backend().adamw({.segments = segments.data(),
                               .count = count,
                               .settings = settings_.optimizer,
                               .loss = nullptr,
                               .variant = 0,
                               .deferred = true,
                               .begin = 0,
                               .end = count,
                               .last = true});
  update_is_due_ = false;
}

HeadLoss TrainingRun::loss_of(const Activations& a, int part, double scale) const {
  const Backend& backend = classifier_.backend();
  const HeadBuffers& head = a.heads[settings_.variants[part]];
  Acc* loss = offset(backend, a.loss, part);
  int32_t* predictions = a.predictions + (parts() > 1 ? part * a.parts.sequences : 0);
  const LossSettings& settings = settings_.loss;
  const int NC = classifier_.config().NC;
  const Acc* class_weights = settings.class_weights.empty() ? nullptr : a.class_weights;
  switch (classifier_.config().loss) {
    case Loss::kCrossEntropy:
      return CrossEntropy{.NC = NC,
                          .label_smoothing = settings.label_smoothing,
                          .focal_gamma = settings.focal_gamma,
                          .loss_scale = scale,
                          .logits = head.logits,
                          .class_weights = class_weights,
                          .loss = loss,
                          .predictions = predictions,
                          .dlogits = head.dlogits};
    case Loss::kBinaryCrossEntropy:
      return BinaryCrossEntropy{.NC = NC,
                                .focal_gamma = settings.focal_gamma,
                                .loss_scale = scale,
                                .logits = head.logits,
                                .class_weights = class_weights,
                                .positive_weights = settings.positive_weights.empty() ? nullptr : a.positive_weights,
                                .loss = loss,
                                .right = predictions,
                                .dlogits = head.dlogits};
    default:
      return MeanSquaredError{
          .NC = NC, .loss_scale = scale, .logits = head.logits, .loss = loss, .dlogits = head.dlogits};
  }
}

RecordingKey TrainingRun::key_of(const Activations& a, const MicroBatch& micro_batch, RecordingKey::Part part) const {
  const bool is_head = classifier_.looks_ahead();
  uint64_t variants = 0;
  for (const int32_t variant : settings_.variants) variants = variants << 4 | static_cast<uint64_t>(variant + 1);
  return {.pass = is_head ? RecordingKey::Pass::kHead : RecordingKey::Pass::kTraining,
          .batch = is_head ? BatchShape{a.part.B, 0, 0} : BatchShape{a.batch.B, a.batch.T, a.batch.max_length},
          .micro_batch = parts() > 1 ? a.parts.sequences : 0,
          .begin = is_head ? a.part_begin : 0,
          .first = micro_batch.first(),
          .last = micro_batch.last(),
          .update = micro_batch.update,
          .part = part,
          .micro_batches = micro_batch.count,
          .settings = settings_hash_,
          .variants = variants};
}

std::vector<std::vector<StepResult>> TrainingRun::collect() {
  Backend& backend = classifier_.backend();
  const auto count = static_cast<int64_t>(examples_.size());
  std::vector<std::vector<StepResult>> results(parts(), std::vector<StepResult>(examples_.size()));
  if (count == 0) return results;
  finish_update();
  std::vector<double> losses(examples_.size()), norms(examples_.size());
  std::vector<int32_t> correct(examples_.size());
  const RunMemory& run = classifier_.run();
  backend.synchronize();
  for (int part = 0; part < parts(); ++part) {
    const int64_t begin = int64_t{part} * run_ahead();
    backend.read_acc(losses.data(), Dtype::kF64, offset(backend, run.losses(), begin), count);
    backend.read_acc(norms.data(), Dtype::kF64, offset(backend, run.norms(), begin), count);
    backend.copy_out(correct.data(), run.correct() + begin, correct.size() * sizeof(int32_t));
    if (ranks_) {
      std::vector<double> sums = losses;
      sums.insert(sums.end(), correct.begin(), correct.end());
      ranks_->all_reduce(sums.data(), static_cast<int64_t>(sums.size()), Dtype::kF64);
      std::copy_n(sums.begin(), count, losses.begin());
      std::copy(sums.begin() + count, sums.end(), correct.begin());
    }
    for (int64_t i = 0; i < count; ++i) results[part][i] = {losses[i], norms[i], correct[i], examples_[i]};
  }
  examples_.clear();
  return results;
}

}  // namespace bertune
