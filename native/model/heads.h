// What turns the first token of each sequence into logits.
//
//   pooler:      first (B,C) → tanh(dense) → pooled (B,C) → dropout
//   classifier:  → Linear → logits (B,NC)
//   probe:       → LayerNorm(C) → Linear(C, C/2) → ReLU → dropout → LayerNorm(C/2) → Linear(C/2, NC)
#pragma once

#include <optional>

#include "model/layernorm.h"
#include "model/linear.h"

namespace bertune {

struct HeadBuffers {
  Real* pooled;         // (B,C) tanh output
  Real* preactivation;  // (B,C) of the pooler, where it carries a low-rank update
  Real* h_pooler;       // (B,r) of that update
  Real* features;       // (B,C) after dropout: what the head sees
  Real* logits;         // (B,NC)
  Real* dlogits;        // (B,NC)
  Real* dfeatures;      // (B,C)
  // probe
  Real* normed;             // (B,C)
  LayerNormBuffers norm0;   // of features
  Real* relu;               // (B,C/2)
  Real* relu_dropped;       // (B,C/2)
  LayerNormBuffers norm4;   // of relu_dropped
  Real* renormed;           // (B,C/2)
  Real *dhidden, *dnormed;  // (B,C/2), (B,C)
};

// The probe head's layers, under the names they have as a torch.nn.Sequential.
struct Probe {
  LayerNorm layernorm0;
  Linear linear1;
  LayerNorm layernorm4;
  Linear linear5;
  double dropout_p;
};

class Heads {
 public:
  Heads(ParameterTable& parameters, const ModelConfig& model, const MethodConfig& method, bool trains_below);

  // Backward goes on into the encoder.
  bool reaches_encoder() const { return trains_below_; }
  HeadBuffers cut(Cutter& cutter, int B) const;

  // first (B,C) → buffers.logits, or in a batch of several adapters pass.mix->logits (B,classes)
  void forward(const Pass& pass, Real* first, const HeadBuffers& buffers, const LoraBuffers& lora);
  // buffers.dlogits → dfirst (B,C) where the encoder trains
  void backward(const Pass& pass, Real* first, const HeadBuffers& buffers, Real* dfirst, const LoraBuffers& lora);

 private:
  void probe_forward(const Pass& pass, const HeadBuffers& buffers, Matrix logits);
  void probe_backward(const Pass& pass, const HeadBuffers& buffers, bool reaches_features);

  const ModelConfig& model_;
  bool trains_below_;
  Linear pooler_;
  std::optional<Linear> classifier_;
  std::optional<Probe> probe_;
};

}  // namespace bertune
