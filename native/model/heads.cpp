#include "model/heads.h"

namespace bertune {
namespace {

// torch.nn.LayerNorm's default: the probe is no part of the model and does not take the model's eps.
constexpr double kProbeLayerNormEps = 1e-5;

// Whether the activation's backward reads its output, not its input.
bool reads_output(Activation activation) { return activation == Activation::kTanh || activation == Activation::kRelu; }

NormedLinear normed_linear(Rows rows, const LayerNorm& norm, const LayerNormBuffers& buffers, const Linear& linear,
                           const Real* dout) {
  return {.rows = rows,
          .n = linear.n(),
          .k = linear.k(),
          .dout = dout,
          .weight = linear.weight()->weight,
          .sum = buffers.sum,
          .mean = buffers.mean,
          .rstd = buffers.rstd,
          .gamma = norm.gamma().weight,
          .beta = norm.beta().weight,
          .dweight = linear.weight()->grad,
          .dbias = linear.bias()->grad,
          .dgamma = norm.gamma().grad,
          .dbeta = norm.beta().grad};
}

}  // namespace

Heads::Heads(ParameterTable& parameters, const ModelConfig& model, const LoraConfigs& loras, bool trains_below,
             int variant)
    : model_(model), trains_below_(trains_below), classifier_(parameters, {Role::kClassifier}, loras, 0, variant) {
  if (parameters.has({Role::kHeadDense})) {
    dense_.emplace(parameters, Module{Role::kHeadDense}, loras, kHeadDenseLoraSite, variant);
  }
  if (parameters.has({Role::kProbeDense})) {
    probe_.emplace(Probe{LayerNorm(parameters, {Role::kProbeNorm}, kProbeLayerNormEps),
                         Linear(parameters, {Role::kProbeDense}, loras, 0),
                         LayerNorm(parameters, {Role::kProbeOutputNorm}, kProbeLayerNormEps)});
  }
}

HeadBuffers Heads::cut(Cutter& cutter, int B) const {
  const int64_t wide = static_cast<int64_t>(B) * model_.C;
  const int64_t labels = static_cast<int64_t>(B) * model_.NC;
  HeadBuffers b{};
  if (dense_) {
    if (model_.head_input_dropout > 0) b.dense_inp = cutter.real(wide);
    b.preactivation = cutter.real(wide);
    b.dense = cutter.real(wide);
    b.update = dense_->cut_saved(cutter, B, true, true);
  }
  b.features = cutter.real(wide);
  b.logits = cutter.real(labels);
  b.dlogits = cutter.real(labels);
  b.dfeatures = cutter.real(wide);
  if (!probe_) return b;
  const int64_t inner = static_cast<int64_t>(B) * probe_->dense.n();
  b.normed = cutter.real(wide);
  b.norm = {cutter.real(wide), cutter.acc(B), cutter.acc(B)};
  b.relu = cutter.real(inner);
  b.output_norm = {cutter.real(inner), cutter.acc(B), cutter.acc(B)};
  b.renormed = cutter.real(inner);
  b.drenormed = cutter.real(inner);
  b.dhidden = cutter.real(inner);
  b.dnormed = cutter.real(wide);
  return b;
}

void Heads::make_features(const Pass& pass, Real* first, const HeadBuffers& b, const LoraBuffers& lora) {
  Real* dense = dense_ ? dense_forward(pass, first, b, lora) : first;
  pass.backend.dropout_apply({pass.sequences(), model_.C, head_dropout(pass), dense, b.features});
}

void Heads::classify(const Pass& pass, const HeadBuffers& b) {
  const int C = model_.C;
  const Rows rows = pass.sequences();
  const Matrix logits = pass.mix ? Matrix{pass.mix->logits, pass.mix->classes} : Matrix{b.logits, model_.NC};
  const Matrix inp = probe_ ? probe_forward(pass, b) : Matrix{b.features, C};
  classifier_.forward(pass, rows, inp, logits, Activation::kNone, nullptr, {});
  if (!pass.mix) return;
  pass.backend.mixed_linear_forward({.n = pass.mix->classes,
                                     .k = C,
                                     .out_stride = pass.mix->classes,
                                     .slots = pass.mix->slots,
                                     .linears = pass.mix->classifiers,
                                     .inp = b.features,
                                     .out = pass.mix->logits});
}

Real* Heads::dense_forward(const Pass& pass, Real* first, const HeadBuffers& b, const LoraBuffers& lora) {
  const int C = model_.C;
  const Rows rows = pass.sequences();
  Real* inp = first;
  if (pass.training && b.dense_inp) {
    pass.backend.dropout_apply({rows, C, input_dropout(pass), first, b.dense_inp});
    inp = b.dense_inp;
  }
  if (!pass.mix || !pass.mix->head_dense) {
    Real* preactivation = dense_->has_lora() || !reads_output(model_.head_activation) ? b.preactivation : nullptr;
    dense_->forward(pass, rows, {inp, C}, {b.dense, C}, model_.head_activation, preactivation, lora.of(0, b.update));
    return b.dense;
  }
  // Each adapter has a head of its own.
  dense_->forward(pass, rows, {inp, C}, {b.preactivation, C}, Activation::kNone, nullptr, {});
  pass.backend.mixed_linear_forward({.n = C,
                                     .k = C,
                                     .out_stride = C,
                                     .slots = pass.mix->slots,
                                     .linears = pass.mix->head_dense,
                                     .inp = inp,
                                     .out = b.preactivation});
  pass.backend.activation_forward({rows, C, model_.head_activation, b.preactivation, b.dense});
  return b.dense;
}

void Heads::probe_hidden(const Pass& pass, const HeadBuffers& b) {
  const Rows rows = pass.sequences();
  probe_->norm.forward(pass, rows, {}, b.features, nullptr, b.norm, b.normed);
  const Matrix relu{b.relu, probe_->dense.n()};
  probe_->dense.forward(pass, rows, {b.normed, model_.C}, relu, Activation::kRelu, nullptr, {});
}

Matrix Heads::probe_forward(const Pass& pass, const HeadBuffers& b) {
  probe_hidden(pass, b);
  const LayerNorm& norm = probe_->output_norm;
  norm.forward(pass, pass.sequences(), probe_dropout(pass), b.relu, nullptr, b.output_norm, b.renormed);
  return {b.renormed, probe_->dense.n()};
}

void Heads::learn(const Pass& pass, const HeadBuffers& b, const HeadLoss& loss) {
  probe_hidden(pass, b);
  const LayerNorm& norm = probe_->output_norm;
  pass.backend.normed_classifier({.k = classifier_.k(),
                                  .NC = classifier_.n(),
                                  .eps = norm.eps(),
                                  .dropout = probe_dropout(pass),
                                  .inp = b.relu,
                                  .gamma = norm.gamma().weight,
                                  .beta = norm.beta().weight,
                                  .weight = classifier_.weight()->weight,
                                  .bias = classifier_.bias()->weight,
                                  .sum = b.output_norm.sum,
                                  .mean = b.output_norm.mean,
                                  .rstd = b.output_norm.rstd,
                                  .normed = b.renormed,
                                  .logits = b.logits,
                                  .dlogits = b.dlogits,
                                  .dnormed = b.drenormed,
                                  .dinp = b.dhidden,
                                  .class_loss = std::get_if<CrossEntropy>(&loss),
                                  .label_loss = std::get_if<BinaryCrossEntropy>(&loss),
                                  .number_loss = std::get_if<MeanSquaredError>(&loss)});
  const NormedLinear linears[] = {
      normed_linear(pass.sequences(), probe_->norm, b.norm, probe_->dense, b.dhidden),
      normed_linear(pass.sequences(), norm, b.output_norm, classifier_, b.dlogits),
  };
  pass.backend.normed_linear_gradients({linears, 2, pass.accumulate});
}

void Heads::backward(const Pass& pass, Real* first, const HeadBuffers& b, Real* dfirst, const LoraBuffers& lora) {
  const int C = model_.C;
  const Rows rows = pass.sequences();
  if (probe_) {
    probe_backward(pass, b);
  } else {
    const Matrix dlogits{b.dlogits, model_.NC};
    classifier_.backward_weight(pass, rows, dlogits, {b.features, C});
    if (reaches_features()) classifier_.backward_input(pass, rows, dlogits, {b.dfeatures, C}, false);
  }
  if (!reaches_features()) return;
  if (dense_) return dense_backward(pass, first, b, dfirst, lora);
  pass.backend.dropout_apply({rows, C, head_dropout(pass), b.dfeatures, dfirst});
}

void Heads::dense_backward(const Pass& pass, Real* first, const HeadBuffers& b, Real* dfirst, const LoraBuffers& lora) {
  const int C = model_.C;
  const Rows rows = pass.sequences();
  const Matrix ddense{b.dfeatures, C}, inp{b.dense_inp ? b.dense_inp : first, C};
  const Real* saved = reads_output(model_.head_activation) ? b.dense : b.preactivation;
  pass.backend.activation_backward(
      {rows, C, model_.head_activation, saved, b.dfeatures, b.dfeatures, head_dropout(pass)});
  const Matrix dinp{trains_below_ ? dfirst : nullptr, C};
  dense_->backward_weight(pass, rows, ddense, inp);
  if (trains_below_) dense_->backward_input(pass, rows, ddense, dinp, false);
  dense_->lora_backward(pass, rows, ddense, inp, dinp, lora.of(0, b.update));
  if (trains_below_ && b.dense_inp) pass.backend.dropout_apply({rows, C, input_dropout(pass), dfirst, dfirst});
}

void Heads::probe_backward(const Pass& pass, const HeadBuffers& b) {
  const int C = model_.C, H = probe_->dense.n();
  const Rows rows = pass.sequences();
  const Matrix dlogits{b.dlogits, model_.NC}, drenormed{b.drenormed, H}, dhidden{b.dhidden, H}, dnormed{b.dnormed, C};
  classifier_.backward_weight(pass, rows, dlogits, {b.renormed, H});
  classifier_.backward_input(pass, rows, dlogits, drenormed, false);
  probe_->output_norm.backward(pass, rows, {}, b.drenormed, b.output_norm, b.dhidden, nullptr);
  pass.backend.activation_backward({rows, H, Activation::kRelu, b.relu, b.dhidden, b.dhidden, probe_dropout(pass)});
  probe_->dense.backward_weight(pass, rows, dhidden, {b.normed, C});
  probe_->dense.backward_input(pass, rows, dhidden, dnormed, false);
  probe_->norm.backward(pass, rows, {}, b.dnormed, b.norm, reaches_features() ? b.dfeatures : nullptr, nullptr);
}

}  // namespace bertune
