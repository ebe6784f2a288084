#include "model/sequence_classifier.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "core/error.h"
#include "model/lora_sums.h"
#include "model/row_sums.h"
#include "model/weight_gradients.h"

namespace bertune {
namespace {

// The most in a dimension of any low-rank update's A (rank, inputs).
int64_t most_of_lora_a(ParameterTable& parameters, const LoraConfigs& loras, size_t dimension) {
  int64_t most = 0;
  for (size_t v = 0; v < loras.size(); ++v) {
    if (!loras[v]) continue;
    for (const LoraConfig::Update& update : loras[v]->updates) {
      most = std::max(most, parameters.at(update.module, Part::kLoraA, static_cast<int>(v)).shape[dimension]);
    }
  }
  return most;
}

bool any_lora(const LoraConfigs& loras) {
  return std::any_of(loras.begin(), loras.end(), [](const auto& lora) { return lora.has_value(); });
}

// What shares its weights with other variants cannot train, and a magnitude scales the frozen products.
void check_variants(const std::vector<ParameterRow>& rows, size_t loras) {
  size_t variants = 1;
  for (const ParameterRow& row : rows) variants = std::max(variants, static_cast<size_t>(row.variant) + 1);
  BERTUNE_CHECK(variants == loras && variants <= kMostVariants);
  for (const ParameterRow& row : rows) {
    const bool is_update = row.place.part == Part::kLoraA || row.place.part == Part::kLoraB;
    const bool is_head = row.place.module.role == Role::kHeadDense || row.place.module.role == Role::kClassifier;
    if (variants == 1 || is_update || (is_head && row.place.part != Part::kMagnitude)) continue;
    if (row.variant == 0 && !row.trainable && is_base(row.place)) continue;
    throw Error("INVALID_OPTION", "Expected variants of low-rank updates and heads alone, but one has the " +
                                      describe(row.place) + " of its own");
  }
}

// The most outputs of any low-rank update with a magnitude.
int64_t most_magnitudes(const std::optional<LoraConfig>& lora) {
  int64_t most = 0;
  if (!lora) return most;
  for (const LoraConfig::Update& update : lora->updates) {
    if (update.magnitude) most = std::max(most, update.magnitude->m->count);
  }
  return most;
}

// To the sizes that batches within the limits may be run at.
void want_padded(const Backend& backend, BatchLimits& limits) {
  if (limits.sequences == 0) return;
  const BatchShape padded = backend.pad({limits.sequences, limits.tokens, 1});
  limits.tokens = padded.T;
  limits.sequences = padded.B;
  if (limits.step_tokens > 0) limits.step_tokens = backend.pad({limits.sequences, limits.step_tokens, 1}).T;
}

int widest(const ModelConfig& model) {
  return std::max({3 * model.C, model.F, model.E, model.P > 0 ? 2 * model.L * model.C : 0});
}

}  // namespace

SequenceClassifier::SequenceClassifier(Backend& backend, const ModelConfig& model,
                                       const std::vector<ParameterRow>& rows, const LoraConfigs& loras)
    : backend_(backend),
      model_(model),
      parameters_(rows),
      loras_(loras),
      magnitudes_(parameters_, loras_[0]),
      embeddings_(parameters_, model_, loras_),
      run_(backend) {
  check_variants(rows, loras.size());
  const int head_size = model_.C / model_.heads;
  if (backend_.max_head_size() > 0 && head_size > backend_.max_head_size()) {
    throw Error("INVALID_OPTION", "Expected heads of at most " + std::to_string(backend_.max_head_size()) +
                                      " on this device but the model's have " + std::to_string(head_size));
  }
  if (model_.P > 0) prefix_.emplace(parameters_, model_);
  bool trains_below = embeddings_.trains();
  layers_.reserve(model_.L);
  for (int l = 0; l < model_.L; ++l) {
    layers_.emplace_back(parameters_, model_, loras_, l, trains_below, prefix_ && prefix_->trains());
    trains_below = layers_.back().reached();
  }
  for (int v = 0; v < variants(); ++v) heads_.emplace_back(parameters_, model_, loras_, trains_below, v);
  parameters_.allocate(backend_);
  magnitudes_.allocate(backend_);
  adapters_.emplace(backend_, parameters_, model_, loras_[0]);
}

void SequenceClassifier::reserve(BatchLimits training, BatchLimits inference) {
  const auto grown = [](BatchLimits have, BatchLimits want) {
    const int sequences = std::max(have.sequences, want.sequences);
    return BatchLimits{std::max({have.tokens, want.tokens, sequences}), sequences,
                       want.sequences > 0 ? want.recompute : have.recompute,
                       std::max(have.step_tokens, want.step_tokens)};
  };
  if (training.sequences > 0) training.sequences += sequences_behind();
  if (training.sequences > 0 && variants() > 1) {
    const int64_t tokens = int64_t{variants()} * tokens_of_part(training.tokens);
    if (tokens > std::numeric_limits<int32_t>::max()) {
      throw Error("INVALID_OPTION",
                  "Expected batches of fewer than 2^31 tokens for all variants together but received " +
                      std::to_string(tokens) + "; make the batch size smaller");
    }
    training.sequences = variants() * (training.sequences + fillers());
    training.tokens = static_cast<int>(tokens);
  }
  want_padded(backend_, training);
  want_padded(backend_, inference);
  training = grown(training_.limits, training);
  inference = grown(inference_.limits, inference);
  BatchLimits planned = training_.limits;
  planned.step_tokens = training.step_tokens;  // no more than the word embeddings' gradient depends on them
  if (training == planned && inference == inference_.limits &&
      parameters_.word_gradient_rows(backend_, training.step_tokens) == parameters_.word_gradient_rows()) {
    training_.limits = training;
    return;
  }
  const BatchLimits old_training = training_.limits, old_inference = inference_.limits;
  try {
    plan(training, inference);
  } catch (...) {
    // What was planned before fitted, and goes on to work. With ranks that just joined it may not: the next call plans anew.
    plan(old_training, old_inference);
    throw;
  }
}

void SequenceClassifier::plan(BatchLimits training, BatchLimits inference) {
  backend_.forget_recordings();
  training_ = inference_ = {};
  if (prefix_) prefix_->weights_changed();  // its prompt is gone
  parameters_.reserve_word_gradient(backend_, parameters_.word_gradient_rows(backend_, training.step_tokens));
  if (training == BatchLimits{} && inference == BatchLimits{}) return arena_.clear();
  // Training and evaluation take turns, so they lie in the same memory.
  Activations for_training{}, for_inference{};
  for_training.limits = training;
  for_inference.limits = inference;
  arena_.lay_out(backend_, "activations", [&](Cutter& cutter) {
    if (prefix_) prefix_->cut(cutter, training.sequences > 0);
    const size_t start = cutter.position();
    if (training.sequences > 0) lay_out(cutter, for_training, true);
    cutter.overlay(start);
    if (inference.sequences > 0) lay_out(cutter, for_inference, false);
  });
  int64_t trainable = 0;
  for (int v = 0; v < variants(); ++v) {
    for (const OptimizerSegment& segment : parameters_.segments(v)) trainable += segment.count;
  }
  backend_.reserve_workspace(
      {std::max(training.sequences, inference.sequences), std::max({training.tokens, inference.tokens, model_.P}), 0},
      widest(model_), trainable);
  training_ = std::move(for_training);
  inference_ = std::move(for_inference);
}

void SequenceClassifier::lay_out(Cutter& cutter, Activations& a, bool training) {
  const int T = a.limits.tokens, B = a.limits.sequences;
  a.batch.ids = cutter.ints(T);
  a.batch.token_types = cutter.ints(T);
  a.batch.positions = cutter.ints(T);
  a.batch.labels = cutter.ints(B);
  const bool targets = training && model_.loss != Loss::kCrossEntropy;
  a.batch.targets = targets ? cutter.acc(static_cast<int64_t>(B) * model_.NC) : nullptr;
  a.batch.cu_seqlens = cutter.ints(static_cast<int64_t>(B) + 1);
  a.batch.tokens_by_id = cutter.ints(T);
  a.batch.tokens_by_position = cutter.ints(T);
  if (training && has_places()) {
    a.batch.token_places = cutter.places(T);
    a.batch.sequence_places = cutter.places(B);
  }
  a.loss = cutter.acc(variants());
  a.grad_norm = cutter.acc(variants());
  a.class_weights = cutter.acc(model_.NC);
  a.positive_weights = cutter.acc(model_.NC);
  a.predictions = cutter.ints(B);

  const int rank = static_cast<int>(most_of_lora_a(parameters_, loras_, 0));
  SharedBuffers shared(cutter, model_, T, rank);
  a.embeddings = embeddings_.cut(cutter, T, training, keeps_input(a.limits, 0), shared);
  lay_out_layers(cutter, a, training, shared);
  const int part_B = training ? (B + variants() - 1) / variants() : B;
  a.heads.clear();
  for (const Heads& heads : heads_) a.heads.push_back(heads.cut(cutter, part_B));
  a.lora.rank = rank;
  a.lora.dropped = cutter.real(T * most_of_lora_a(parameters_, loras_, 1));
  if (training) a.lora.dbase = cutter.real(T * most_magnitudes(loras_[0]));
  for (auto& set : a.lora.dh) {
    for (Real*& dh : set) dh = cutter.real(static_cast<int64_t>(T) * rank);
    if (!backend_.sums_together()) break;
  }
  if (training && heads_[0].reaches_encoder()) lay_out_gradients(cutter, a);
}

void SequenceClassifier::lay_out_layers(Cutter& cutter, Activations& a, bool training, SharedBuffers& shared) {
  const int T = a.limits.tokens, B = a.limits.sequences, C = model_.C, last = model_.L - 1;
  const int rank = static_cast<int>(most_of_lora_a(parameters_, loras_, 0));
  std::vector<Real*> outs(layers_.size());
  // Backward reads a layer's output for the sake of the layer above, whether or not the layer itself trains.
  for (int l = 0; l < last; ++l) {
    outs[l] = training && keeps_input(a.limits, l + 1) ? cutter.real(static_cast<int64_t>(T) * C) : shared.out();
  }
  outs[last] = cutter.real(static_cast<int64_t>(B) * C);
  Real* first = cutter.real(static_cast<int64_t>(B) * C);

  a.layers.resize(layers_.size());
  std::optional<size_t> place;
  size_t end = 0;
  for (int l = 0; l <= last; ++l) {
    // Layers that are run again take turns in one place, with all that they write there.
    const bool again = training && a.limits.recompute && layers_[l].reached();
    if (place) cutter.overlay(*place);
    if (again) place = cutter.position();
    SharedBuffers own(cutter, model_, T, rank);
    a.layers[l] = layers_[l].cut(cutter, T, B, l == last, training, again ? own : shared);
    a.layers[l].out = outs[l];
    end = std::max(end, cutter.position());
  }
  cutter.overlay(end);
  a.layers[last].first = first;
  if (training) return;
  a.last_layer_full = layers_[last].cut(cutter, T, B, false, false, shared);
  a.last_layer_full.out = shared.out();
}

void SequenceClassifier::lay_out_gradients(Cutter& cutter, Activations& a) {
  const int T = a.limits.tokens, B = a.limits.sequences, C = model_.C;
  // What sums are made of stays until they are made, where they are put off.
  const bool puts_off = backend_.sums_together(), apart = puts_off && sums_rows();
  const auto residual = [&](int64_t rows) {
    ResidualGradients gradients{};
    gradients.out = gradients.x1 = gradients.x = cutter.real(rows * C);
    if (apart) gradients.x1 = cutter.real(rows * C);
    if (apart) gradients.x = cutter.real(rows * C);
    return gradients;
  };
  a.grads.tokens = residual(T);
  a.grads.first = residual(B);
  a.grads.dbranch = a.grads.dattention = cutter.real(static_cast<int64_t>(T) * C);
  a.grads.dwide = a.grads.datt = cutter.real(static_cast<int64_t>(T) * std::max(model_.F, C));
  const bool branches_apart = apart || (puts_off && any_lora(loras_));
  if (branches_apart) a.grads.dattention = cutter.real(static_cast<int64_t>(T) * C);
  if (branches_apart) a.grads.datt = cutter.real(static_cast<int64_t>(T) * C);
  a.grads.dqkv = a.grads.other_dqkv = cutter.real(3LL * T * C);
  if (puts_off && any_lora(loras_)) a.grads.other_dqkv = cutter.real(3LL * T * C);
  if (prefix_) prefix_->cut_partials(cutter, backend_, B);
}

Activations& SequenceClassifier::size_batch(const Dataset& dataset, const int32_t* order, int count, bool training,
                                            const std::vector<int32_t>& variants) {
  Activations& a = training ? training_ : inference_;
  int64_t tokens = 0;
  int longest = 0;
  for (int b = 0; b < count; ++b) {
    const int length = dataset.length(order[b]);
    tokens += length;
    longest = std::max(longest, length);
  }
  BERTUNE_CHECK(count > 0 && tokens <= a.limits.tokens);
  a.live = {count, static_cast<int>(tokens), longest};
  const BatchShape padded = backend_.pad({count + (training ? sequences_behind() : 0), a.live.T, a.live.max_length});
  BERTUNE_CHECK(padded.B <= a.limits.sequences && padded.T <= a.limits.tokens);
  a.batch.B = padded.B;
  a.batch.T = padded.T;
  a.batch.max_length = padded.max_length;
  a.parts = {.count = static_cast<int>(variants.size())};
  std::copy(variants.begin(), variants.end(), a.parts.variants);
  const bool several = a.parts.count > 1;
  a.parts.tokens = several ? a.live.T / a.parts.count : a.batch.T;
  a.parts.sequences = several ? count / a.parts.count : a.batch.B;
  return a;
}

void SequenceClassifier::gather(Activations& a, bool training) {
  backend_.gather_batch({.NC = model_.NC,
                         .sort_tokens = training && embeddings_.tables_train(),
                         .micro_batch = a.parts.sequences,
                         .are_parts = true,
                         .batch = a.batch});
}

PrefixView SequenceClassifier::prefix_view(const Pass& pass, int layer) const {
  if (pass.mix) {
    const AdapterMix& mix = *pass.mix;
    if (!mix.prompt) return {};
    return view_prompt(backend_, mix.prompt, mix.prefix_tokens, model_.L, model_.C, layer);
  }
  return prefix_ ? prefix_->view(pass, layer) : PrefixView{};
}

bool SequenceClassifier::keeps_input(const BatchLimits& limits, int layer) const {
  return layers_[layer].reads_input() || (limits.recompute && layers_[layer].reached());
}

Real* SequenceClassifier::layer_input(const Activations& a, int layer) const {
  return layer == 0 ? a.embeddings.out : a.layers[layer - 1].out;
}

void SequenceClassifier::run_layers(const Pass& pass, Activations& a, bool first_only_last,
                                    const std::function<void(const Real*)>& show) {
  pass.wait_for_update(0);
  embeddings_.forward(pass, a.embeddings, a.lora);
  if (show) show(a.embeddings.out);
  for (int l = 0; l < model_.L; ++l) {
    const bool last = l + 1 == model_.L;
    const LayerBuffers& buffers = last && !first_only_last ? a.last_layer_full : a.layers[l];
    pass.wait_for_update(l + 1);
    Real* next_first = l + 2 == model_.L && first_only_last ? a.layers.back().first : nullptr;
    layers_[l].forward(pass, layer_input(a, l), buffers, prefix_view(pass, l), last && first_only_last, a.lora,
                       next_first);
    if (show) show(buffers.out);
  }
}

void SequenceClassifier::forward(Activations& a, bool training, const AdapterMix* mix,
                                 const std::vector<int>* updates) {
  const Pass pass{
      .backend = backend_, .batch = a.batch, .training = training, .mix = mix, .updates = updates, .parts = a.parts};
  run_layers(pass, a, true, nullptr);
  pass.wait_for_update(model_.L + 1);
  for (int part = 0; part < a.parts.count; ++part) {
    use_part_of(a, part);
    const Pass own{.backend = backend_, .batch = a.part, .training = training, .mix = mix, .parts = parts_of(a, part)};
    const int variant = a.parts.variants[part];
    heads_[variant].make_features(own, rows_of_part(a, a.layers.back().out), a.heads[variant], a.lora);
    heads_[variant].classify(own, a.heads[variant]);
  }
}

void SequenceClassifier::use_part_of(Activations& a, int part) {
  a.part = a.batch;
  a.part_begin = 0;
  if (a.parts.count == 1) return;
  const int begin = part * a.parts.sequences;
  a.part_begin = begin;
  a.part.B = a.parts.sequences;
  a.part.labels += begin;
  a.part.cu_seqlens += begin;
  if (a.part.targets) a.part.targets = offset(backend_, a.part.targets, int64_t{begin} * model_.NC);
  backend_.use_batch(a.part);
}

Real* SequenceClassifier::rows_of_part(const Activations& a, Real* sequences) const {
  return offset(backend_, sequences, int64_t{a.part_begin} * model_.C);
}

BatchParts SequenceClassifier::parts_of(const Activations& a, int part) const {
  return {.count = 1, .variants = {a.parts.variants[part]}};
}

void SequenceClassifier::make_features(Activations& a, int micro_batch) {
  backend_.gather_batch({.NC = model_.NC, .sort_tokens = false, .micro_batch = micro_batch, .batch = a.batch});
  prepare_step();
  const Pass pass{backend_, a.batch, true};
  run_layers(pass, a, true, nullptr);
  heads_[0].make_features(pass, a.layers.back().out, a.heads[0], a.lora);
}

void SequenceClassifier::use_part(Activations& a, int begin, int count) {
  a.part_begin = begin;
  a.part = {.B = backend_.pad({count, 0, 0}).B,
            .labels = a.batch.labels + begin,
            .targets = a.batch.targets ? offset(backend_, a.batch.targets, int64_t{begin} * model_.NC) : nullptr,
            .cu_seqlens = a.batch.cu_seqlens + begin};
  backend_.use_batch(a.part);
}

HeadBuffers SequenceClassifier::head_of_part(const Activations& a) const {
  HeadBuffers head = a.heads[0];
  head.features = offset(backend_, head.features, int64_t{a.part_begin} * model_.C);
  return head;
}

void SequenceClassifier::classify(Activations& a) { heads_[0].classify({backend_, a.part, true}, head_of_part(a)); }

void SequenceClassifier::backward_head(Activations& a, bool accumulate) {
  RowSums sums(backend_, accumulate);
  const Pass pass{backend_, a.part, true, accumulate};
  heads_[0].backward(pass.with(backend_.sums_together() ? &sums : nullptr), nullptr, head_of_part(a), nullptr, a.lora);
  sums.run();
}

void SequenceClassifier::learn_head(Activations& a, const HeadLoss& loss, bool accumulate) {
  heads_[0].learn({backend_, a.part, true, accumulate}, head_of_part(a), loss);
}

void SequenceClassifier::backward(Activations& a, bool accumulate) {
  RowSums sums(backend_, accumulate);
  LoraSums lora_sums(backend_);
  WeightGradients weight_gradients(backend_);
  const bool together = backend_.sums_together();
  const bool aside = backend_.runs_aside() && (trains_weights() || (prefix_ && prefix_->trains()));
  const Pass pass{.backend = backend_,
                  .batch = a.batch,
                  .training = true,
                  .accumulate = accumulate,
                  .lora_sums = together ? &lora_sums : nullptr,
                  .weight_gradients = aside ? &weight_gradients : nullptr,
                  .parts = a.parts};
  const Pass summing = pass.with(together ? &sums : nullptr);
  for (int part = 0; part < a.parts.count; ++part) {
    use_part_of(a, part);
    const int variant = a.parts.variants[part];
    const Pass own{.backend = backend_,
                   .batch = a.part,
                   .training = true,
                   .accumulate = accumulate,
                   .lora_sums = pass.lora_sums,
                   .row_sums = summing.row_sums,
                   .weight_gradients = pass.weight_gradients,
                   .parts = parts_of(a, part)};
    heads_[variant].backward(own, rows_of_part(a, a.layers.back().out), a.heads[variant],
                             rows_of_part(a, a.grads.first.out), a.lora);
  }
  if (a.parts.count > 1) backend_.use_batch(a.batch);
  BackwardBuffers grads = a.grads;
  const Pass layer_pass = sums_rows() ? summing : pass;
  for (int l = model_.L - 1; l >= 0 && layers_[l].reached(); --l) {
    if (a.limits.recompute && l + 1 < model_.L) {
      // It overwrites what sums of the layer above are still to be made of.
      if (together) lora_sums.finish();
      if (aside) weight_gradients.wait();
      layers_[l].forward(pass, layer_input(a, l), a.layers[l], prefix_view(pass, l), false, a.lora, nullptr);
    }
    layers_[l].backward(layer_pass, layer_input(a, l), a.layers[l], prefix_view(pass, l), l + 1 == model_.L, grads,
                        a.lora);
    grads.step_down();
  }
  lora_sums.release();
  if (embeddings_.trains()) embeddings_.backward(pass, a.embeddings, grads.tokens.out, a.lora);
  if (prefix_) prefix_->backward(summing);
  sums.run();
  lora_sums.finish();
  if (aside) weight_gradients.finish();
}

bool SequenceClassifier::defers_updates() const {
  return backend_.runs_aside() && trains_weights() && !looks_ahead() && !prefix_ && !any_lora(loras_);
}

std::vector<int> SequenceClassifier::update_aside(const OptimizerSettings& settings) {
  const std::vector<OptimizerSegment>& segments = parameters_.segments();
  const int count = static_cast<int>(segments.size()), head = model_.L + 1;
  std::vector<int> stages, marks(static_cast<size_t>(head) + 1);  // of segments; of stages
  for (const Parameter& parameter : parameters_.all()) {
    if (!parameter.trainable) continue;
    const Module& module = parameter.place.module;
    stages.push_back(is_in_layer(module.role) ? module.layer + 1 : is_embedding(module.role) ? 0 : head);
  }
  for (int begin = 0, end = 0; begin < count; begin = end) {
    while (end < count && stages[end] == stages[begin]) ++end;
    backend_.begin_aside();
    backend_.adamw({.segments = segments.data(),
                    .count = count,
                    .settings = settings,
                    .loss = nullptr,
                    .variant = 0,
                    .deferred = true,
                    .begin = begin,
                    .end = end,
                    .last = end == count});
    marks[stages[begin]] = marks[head] = backend_.end_aside();
  }
  return marks;
}

bool SequenceClassifier::trains_weights() const {
  return std::any_of(layers_.begin(), layers_.end(), [](const EncoderLayer& layer) { return layer.trains_weights(); });
}

bool SequenceClassifier::sums_rows() const {
  return std::any_of(layers_.begin(), layers_.end(), [](const EncoderLayer& layer) { return layer.sums_rows(); });
}

void SequenceClassifier::hidden_states(Activations& a, const std::function<void(const Real*)>& show) {
  prepare_inference();
  const Pass pass{.backend = backend_, .batch = a.batch, .training = false, .parts = a.parts};
  run_layers(pass, a, false, show);
}

const Real* SequenceClassifier::prompt_embeddings() {
  if (!prefix_) throw Error("INVALID_OPTION", "Expected a model with a prefix, but this one has none");
  if (!arena_.data()) reserve({}, {1, 1});
  prepare_inference();
  return prefix_->prompt();
}

void SequenceClassifier::weights_changed() {
  if (prefix_) prefix_->weights_changed();
  magnitudes_.weights_changed();
}

void SequenceClassifier::prepare_inference() {
  if (prefix_) prefix_->refresh({backend_, inference_.batch, false});
  magnitudes_.refresh(backend_);
}

void SequenceClassifier::prepare_step() {
  if (prefix_) prefix_->forward({backend_, training_.batch, true, false});
  magnitudes_.make(backend_);
}

}  // namespace bertune
