// A LayerNorm of the model, with the dropout and the residual that come before it.
//
//   sum = residual + dropout(inp);  out = LayerNorm(sum) · gamma + beta      (rows,C)
#pragma once

#include "model/parameters.h"
#include "model/pass.h"

namespace bertune {

// What a LayerNorm saves for its backward.
struct LayerNormBuffers {
  Real* sum;  // (rows,C)
  Acc* mean;  // (rows)
  Acc* rstd;  // (rows)
};

class LayerNorm {
 public:
  LayerNorm(ParameterTable& parameters, const Module& module, double eps)
      : gamma_(&parameters.at(module, Part::kWeight)), beta_(&parameters.at(module, Part::kBias)), eps_(eps) {}

  const Parameter& gamma() const { return *gamma_; }
  const Parameter& beta() const { return *beta_; }
  double eps() const { return eps_; }
  bool trains() const { return gamma_->trainable || beta_->trainable; }

  // `residual` may be null; inp may be buffers.sum. `first` (B,C) gets the rows of out that begin a sequence.
  void forward(const Pass& pass, Rows rows, Dropout dropout, const Real* inp, const Real* residual,
               const LayerNormBuffers& buffers, Real* out, Real* first = nullptr) const;
  // dout → dresidual, and past the dropout dinp, if it is not null. dresidual may be dout unless pass.row_sums takes the
  // sums; null: only the gradients of gamma and beta are wanted.
  void backward(const Pass& pass, Rows rows, Dropout dropout, const Real* dout, const LayerNormBuffers& buffers,
                Real* dresidual, Real* dinp) const;

 private:
  int size() const { return static_cast<int>(gamma_->count); }

  Parameter* gamma_;
  Parameter* beta_;
  double eps_;
};

}  // namespace bertune
