// What turns the first token of each sequence into logits.
//
//   dense:       first (B,C) → dropout → activation(Linear) → dense (B,C); an architecture may have neither it nor the
//                dropout before it
//   features:    → dropout (B,C)
//   classifier:  → Linear → logits (B,NC)
//   probe:       → LayerNorm(C) → Linear(C, H) → ReLU → dropout → LayerNorm(H) → Linear(H, NC)
#pragma once

#include <optional>
#include <variant>

#include "model/layernorm.h"
#include "model/linear.h"

namespace bertune {

struct HeadBuffers {
  Real* dense_inp;      // (B,C) first after dropout; `first` itself without one
  Real* preactivation;  // (B,C) of the dense Linear
  LoraSaved update;     // of its low-rank update
  Real* dense;          // (B,C) after the activation
  Real* features;       // (B,C) after dropout: what classifier and probe see
  Real* logits;         // (B,NC)
  Real* dlogits;        // (B,NC)
  Real* dfeatures;      // (B,C)
  // probe
  Real* normed;                  // (B,C)
  LayerNormBuffers norm;         // of features; its sum is a copy of them
  Real* relu;                    // (B,H)
  LayerNormBuffers output_norm;  // of relu, dropped
  Real* renormed;                // (B,H)
  Real *drenormed, *dhidden;     // (B,H)
  Real* dnormed;                 // (B,C)
};

// What a probe has before its classifier.
struct Probe {
  LayerNorm norm;
  Linear dense;
  LayerNorm output_norm;
};

// A loss on logits, as an operation takes it.
using HeadLoss = std::variant<CrossEntropy, BinaryCrossEntropy, MeanSquaredError>;

class Heads {
 public:
  // `variant`: whose parameters they are.
  Heads(ParameterTable& parameters, const ModelConfig& model, const LoraConfigs& loras, bool trains_below, int variant);

  // Whether backward continues into the encoder.
  bool reaches_encoder() const { return trains_below_; }
  // Whether it continues to the features because something that they are made of trains.
  bool reaches_features() const { return trains_below_ || (dense_ && dense_->trains()); }
  HeadBuffers cut(Cutter& cutter, int B) const;

  // first (B,C) → buffers.features
  void make_features(const Pass& pass, Real* first, const HeadBuffers& buffers, const LoraBuffers& lora);
  // buffers.features → buffers.logits, or for a batch of several adapters, pass.mix->logits (B,classes)
  void classify(const Pass& pass, const HeadBuffers& buffers);
  // Whether only a probe trains, on a device where launches are expensive: then `learn` replaces classify, loss and backward.
  bool learns_at_once(const Backend& backend) const { return probe_ && !reaches_features() && backend.sums_together(); }
  void learn(const Pass& pass, const HeadBuffers& buffers, const HeadLoss& loss);
  // buffers.dlogits → dfirst (B,C) if the encoder trains
  void backward(const Pass& pass, Real* first, const HeadBuffers& buffers, Real* dfirst, const LoraBuffers& lora);

 private:
  Real* dense_forward(const Pass& pass, Real* first, const HeadBuffers& buffers, const LoraBuffers& lora);
  void dense_backward(const Pass& pass, Real* first, const HeadBuffers& buffers, Real* dfirst, const LoraBuffers& lora);
  // features → relu (B,H)
  void probe_hidden(const Pass& pass, const HeadBuffers& buffers);
  Matrix probe_forward(const Pass& pass, const HeadBuffers& buffers);
  void probe_backward(const Pass& pass, const HeadBuffers& buffers);
  Dropout head_dropout(const Pass& pass) const { return pass.dropout(model_.head_dropout, kFeatureSite); }
  Dropout probe_dropout(const Pass& pass) const { return pass.dropout(model_.probe_dropout, kProbeSite); }
  Dropout input_dropout(const Pass& pass) const { return pass.dropout(model_.head_input_dropout, kHeadInputSite); }

  const ModelConfig& model_;
  bool trains_below_;
  std::optional<Linear> dense_;
  std::optional<Probe> probe_;
  Linear classifier_;
};

}  // namespace bertune
