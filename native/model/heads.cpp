#include "model/heads.h"

namespace bertune {
namespace {

// torch.nn.LayerNorm's default: the probe head is not BERT's and does not take BERT's eps.
constexpr double kProbeLayerNormEps = 1e-5;

}  // namespace

Heads::Heads(ParameterTable& parameters, const ModelConfig& model, const MethodConfig& method, bool trains_below)
    : model_(model), trains_below_(trains_below), pooler_(parameters, "bert.pooler.dense", method, kPoolerLoraSite) {
  if (method.head == Head::kClassifier) {
    classifier_.emplace(parameters, "classifier", method, 0);
  } else {
    probe_.emplace(Probe{LayerNorm(parameters, "classifier.classifier.0", kProbeLayerNormEps),
                         Linear(parameters, "classifier.classifier.1", method, 0),
                         LayerNorm(parameters, "classifier.classifier.4", kProbeLayerNormEps),
                         Linear(parameters, "classifier.classifier.5", method, 0), method.probe_dropout});
  }
}

HeadBuffers Heads::cut(Cutter& cutter, int B) const {
  const int64_t wide = static_cast<int64_t>(B) * model_.C;
  const int64_t half = static_cast<int64_t>(B) * (model_.C / 2);
  const int64_t labels = static_cast<int64_t>(B) * model_.NC;
  HeadBuffers b{};
  b.pooled = cutter.real(wide);
  if (pooler_.lora()) {
    b.preactivation = cutter.real(wide);
    b.h_pooler = cutter.real(static_cast<int64_t>(B) * pooler_.lora()->r);
  }
  b.features = cutter.real(wide);
  b.logits = cutter.real(labels);
  b.dlogits = cutter.real(labels);
  b.dfeatures = cutter.real(wide);
  if (!probe_) return b;
  b.normed = cutter.real(wide);
  b.norm0 = {b.features, cutter.acc(B), cutter.acc(B)};
  b.relu = cutter.real(half);
  b.relu_dropped = cutter.real(half);
  b.norm4 = {b.relu_dropped, cutter.acc(B), cutter.acc(B)};
  b.renormed = cutter.real(half);
  b.dhidden = cutter.real(half);
  b.dnormed = cutter.real(wide);
  return b;
}

void Heads::forward(const Pass& pass, Real* first, const HeadBuffers& b, const LoraBuffers& lora) {
  const int C = model_.C;
  const Rows rows = pass.sequences();
  pooler_.forward(pass, rows, {first, C}, {b.pooled, C}, Activation::kTanh, b.preactivation, lora.with_h(b.h_pooler));
  pass.backend.dropout_apply({rows, C, pass.dropout(model_.classifier_dropout, kPooledSite), b.pooled, b.features});
  const Matrix logits = pass.mix ? Matrix{pass.mix->logits, pass.mix->classes} : Matrix{b.logits, model_.NC};
  if (probe_) {
    probe_forward(pass, b, logits);
  } else {
    classifier_->forward(pass, rows, {b.features, C}, logits, Activation::kNone, nullptr, {});
  }
  if (!pass.mix) return;
  pass.backend.mixed_linear_forward({.n = pass.mix->classes,
                                     .k = C,
                                     .out_stride = pass.mix->classes,
                                     .slots = pass.mix->slots,
                                     .linears = pass.mix->classifiers,
                                     .inp = b.features,
                                     .out = pass.mix->logits});
}

void Heads::probe_forward(const Pass& pass, const HeadBuffers& b, Matrix logits) {
  const int C = model_.C, half = C / 2;
  const Rows rows = pass.sequences();
  probe_->layernorm0.forward(pass, rows, {}, b.features, nullptr, b.norm0, b.normed);
  probe_->linear1.forward(pass, rows, {b.normed, C}, {b.relu, half}, Activation::kRelu, nullptr, {});
  pass.backend.dropout_apply({rows, half, pass.dropout(probe_->dropout_p, kProbeSite), b.relu, b.relu_dropped});
  probe_->layernorm4.forward(pass, rows, {}, b.relu_dropped, nullptr, b.norm4, b.renormed);
  probe_->linear5.forward(pass, rows, {b.renormed, half}, logits, Activation::kNone, nullptr, {});
}

void Heads::backward(const Pass& pass, Real* first, const HeadBuffers& b, Real* dfirst, const LoraBuffers& lora) {
  const int C = model_.C;
  const Rows rows = pass.sequences();
  const bool reaches_features = trains_below_ || pooler_.trains();
  const Matrix dfeatures{b.dfeatures, C};
  if (probe_) {
    probe_backward(pass, b, reaches_features);
  } else {
    const Matrix dlogits{b.dlogits, model_.NC};
    classifier_->backward_weight(pass, rows, dlogits, {b.features, C});
    if (reaches_features) classifier_->backward_input(pass, rows, dlogits, dfeatures, false);
  }
  if (!reaches_features) return;

  pass.backend.dropout_apply({rows, C, pass.dropout(model_.classifier_dropout, kPooledSite), b.dfeatures, b.dfeatures});
  pass.backend.activation_backward({rows, C, Activation::kTanh, b.pooled, b.dfeatures, b.dfeatures});
  const Matrix dinp{trains_below_ ? dfirst : nullptr, C};
  pooler_.backward_weight(pass, rows, dfeatures, {first, C});
  if (trains_below_) pooler_.backward_input(pass, rows, dfeatures, dinp, false);
  pooler_.lora_backward(pass, rows, dfeatures, {first, C}, dinp, lora.with_h(b.h_pooler));
}

void Heads::probe_backward(const Pass& pass, const HeadBuffers& b, bool reaches_features) {
  const int C = model_.C, half = C / 2;
  const Rows rows = pass.sequences();
  const Matrix dlogits{b.dlogits, model_.NC}, dhidden{b.dhidden, half}, dnormed{b.dnormed, C};
  probe_->linear5.backward_weight(pass, rows, dlogits, {b.renormed, half});
  probe_->linear5.backward_input(pass, rows, dlogits, dhidden, false);
  probe_->layernorm4.backward(pass, rows, {}, b.dhidden, b.norm4, b.dhidden, nullptr);
  pass.backend.dropout_apply({rows, half, pass.dropout(probe_->dropout_p, kProbeSite), b.dhidden, b.dhidden});
  pass.backend.activation_backward({rows, half, Activation::kRelu, b.relu, b.dhidden, b.dhidden});
  probe_->linear1.backward_weight(pass, rows, dhidden, {b.normed, C});
  probe_->linear1.backward_input(pass, rows, dhidden, dnormed, false);
  probe_->layernorm0.backward(pass, rows, {}, b.dnormed, b.norm0, reaches_features ? b.dfeatures : b.dnormed, nullptr);
}

}  // namespace bertune
