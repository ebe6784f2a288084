#include "model/layernorm.h"

namespace bertune {

void LayerNorm::forward(const Pass& pass, Rows rows, Dropout dropout, const Real* inp, const Real* residual,
                        const LayerNormBuffers& buffers, Real* out) const {
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
                                                   .out = out});
}

void LayerNorm::backward(const Pass& pass, Rows rows, Dropout dropout, const Real* dout,
                         const LayerNormBuffers& buffers, Real* dresidual, Real* dinp) const {
  pass.backend.dropout_residual_layernorm_backward({.rows = rows,
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
                                                    .dgamma = gamma_->grad,
                                                    .dbeta = beta_->grad});
}

}  // namespace bertune
