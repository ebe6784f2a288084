// Prefix tuning (Li & Liang, 2021): P virtual tokens give every layer P keys and P values.
//
//   with projection:  E (P,C) → Linear → tanh (P,C) → Linear → prompt (P,2LC)
//   without:          prompt = E (P,2LC)
//
// Layer l's keys are columns [2l·C, (2l+1)·C) of the prompt, its values the next C.
#pragma once

#include <memory>

#include "model/encoder_layer.h"

namespace bertune {

struct PrefixBuffers {
  Real* hidden;        // (P,C) tanh output
  Real* prompt;        // (P,2LC)
  Acc* dprompt;        // (P,2LC)
  Real* dprompt_real;  // (P,2LC)
  Real* dhidden;       // (P,C)
  Acc* partials;       // (B,P,2C) each sequence's share of dprompt, or (L,B,P,2C)
};

// The part of a prompt (P,2LC) for layer `layer`, as inference needs it.
PrefixView view_prompt(const Backend& backend, const Real* prompt, int P, int L, int C, int layer);

class Prefix {
 public:
  Prefix(ParameterTable& parameters, const ModelConfig& model);

  bool trains() const;

  void cut(Cutter& cutter, bool training);
  // Takes what only backward needs, for batches of B sequences.
  void cut_partials(Cutter& cutter, const Backend& backend, int B);
  // Computes the prompt from the weights.
  void forward(const Pass& pass);
  // The same, but only once until `weights_changed`, so never in a recording.
  void refresh(const Pass& pass);
  void weights_changed() { fresh_ = false; }
  // Gradients of the layers' keys and values → gradients of the network.
  void backward(const Pass& pass);

  PrefixView view(const Pass& pass, int layer) const;
  // (P,2LC), after forward.
  const Real* prompt() const;

 private:
  // Whether the partials of all layers are kept and summed together.
  bool sums_together(const Backend& backend, int B) const;
  Acc* gradient() const { return first_ ? buffers_.dprompt : embedding_->grad; }  // (P,2LC) of the prompt
  Rows rows() const { return {RowKind::kPrefix, P_}; }

  int P_, C_, columns_;
  Parameter* embedding_;
  std::unique_ptr<Linear> first_, second_;  // the projection, if there is one
  PrefixBuffers buffers_{};
  int most_sequences_ = 0;  // that the partials have room for
  bool fresh_ = false;
};

}  // namespace bertune
