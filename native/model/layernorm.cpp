#include "model/layernorm.h"

#include "model/lora_sums.h"
#include "model/row_sums.h"

namespace bertune {

void LayerNorm::forward(const Pass& pass, Rows rows, Dropout dropout, const Real* inp, const Real* residual,
                        const LayerNormBuffers& buffers, Real* out, Real* first) const {
  pass.backend.dropout_residual_layernorm_forward({.rows = rows,
                                                   .C = size(),
                                                   .eps = eps_,
                                                   .dropout = dropout,
                                                   .inp = inp,
                                                   .residual = residual,
                                                   .gamma = gamma_->weight,
                                                   .beta = beta_->weight,
                                                   .sum = buffers.sum,
                                                   .mean = buffers.mean,
                                                   .rstd = buffers.rstd,
                                                   .out = out,
                                                   .first = first});
}

void LayerNorm::backward(const Pass& pass, Rows rows, Dropout dropout, const Real* dout,
                         const LayerNormBuffers& buffers, Real* dresidual, Real* dinp) const {
  const bool later = pass.row_sums != nullptr;
  if (later) {
    pass.row_sums->add({.rows = rows,
                        .n = size(),
                        .dout_stride = size(),
                        .dout = dout,
                        .sum = buffers.sum,
                        .mean = buffers.mean,
                        .rstd = buffers.rstd,
                        .dgamma = gamma_->grad,
                        .dbeta = beta_->grad});
    if (!dresidual && pass.lora_sums) pass.lora_sums->release();
    if (!dresidual) return;
  }
  const DropoutResidualLayernormBackward args{.rows = rows,
                                              .C = size(),
                                              .accumulate = pass.accumulate,
                                              .dropout = dropout,
                                              .dout = dout,
                                              .sum = buffers.sum,
                                              .mean = buffers.mean,
                                              .rstd = buffers.rstd,
                                              .gamma = gamma_->weight,
                                              .dresidual = dresidual,
                                              .dinp = dinp,
                                              .dgamma = later ? nullptr : gamma_->grad,
                                              .dbeta = later ? nullptr : beta_->grad};
  if (pass.lora_sums && pass.lora_sums->run_with(args)) return;
  pass.backend.dropout_residual_layernorm_backward(args);
}

}  // namespace bertune
