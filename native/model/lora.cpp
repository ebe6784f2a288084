// Low-rank updates (Hu et al., "LoRA", 2021) of the linear modules that carry one:
//   h = dropout(inp) · Aᵀ,  out += scaling · h · Bᵀ      inp (rows,k) → h (rows,r) → out (rows,n)
// h is saved where backward reads it; the dropped input is made again from the same mask.
//
// With a magnitude (core/backend.h, DoRA) B is scaled by rows, and so is the base's product of the dropped input:
//   base = dropout(inp) · Wᵀ,  out += (scale − 1) ∘ base
#include "core/error.h"
#include "model/linear.h"
#include "model/lora_sums.h"

namespace bertune {
namespace {

void dora_forward(const Pass& pass, Rows rows, Matrix inp, const LoraPart& part) {
  const auto& [linear, out, buffers] = part;
  const LowRank& lora = *linear->lora();
  const int n = linear->n(), k = linear->k();
  const Dropout dropout = pass.dropout(lora.dropout_p, lora.site);
  const bool drops = dropout.p > 0;
  if (drops) {
    BERTUNE_CHECK(inp.stride == k);
    pass.backend.dropout_apply({rows, k, dropout, inp.data, buffers.dropped});
    pass.backend.linear_forward({.rows = rows,
                                 .n = n,
                                 .k = k,
                                 .inp_stride = k,
                                 .out_stride = n,
                                 .activation = Activation::kNone,
                                 .inp = buffers.dropped,
                                 .weight = linear->weight()->weight,
                                 .bias = nullptr,
                                 .preactivation = nullptr,
                                 .out = buffers.saved.base});
  }
  pass.backend.dora_forward({.rows = rows,
                             .n = n,
                             .out_stride = out.stride,
                             .scale = lora.magnitude->scale,
                             .bias = drops ? nullptr : linear->bias()->weight,
                             .base = buffers.saved.base,
                             .out = out.data});
}

// part.out is its gradient.
void dora_backward(const Pass& pass, Rows rows, Matrix dinp, const LoraPart& part) {
  const auto& [linear, dout, buffers] = part;
  const LowRank& lora = *linear->lora();
  const int n = linear->n(), k = linear->k();
  const Dropout dropout = pass.dropout(lora.dropout_p, lora.site);
  const bool drops = dropout.p > 0;
  pass.backend.dora_backward({.rows = rows,
                              .n = n,
                              .dout_stride = dout.stride,
                              .accumulate = pass.accumulate,
                              .scale = lora.magnitude->scale,
                              .dout = dout.data,
                              .base = buffers.saved.base,
                              .dbase = dinp.data ? buffers.dbase : nullptr,
                              .dscale = lora.magnitude->m->grad});
  if (!dinp.data) return;
  pass.backend.linear_backward_input({.rows = rows,
                                      .n = n,
                                      .k = k,
                                      .dout_stride = n,
                                      .dinp_stride = drops ? k : dinp.stride,
                                      .add_to_dinp = !drops,
                                      .activation = Activation::kNone,
                                      .dout = buffers.dbase,
                                      .weight = linear->weight()->weight,
                                      .saved = nullptr,
                                      .dinp = drops ? buffers.dropped : dinp.data,
                                      .gradient = nullptr});
  if (!drops) return;
  BERTUNE_CHECK(dinp.stride == k);
  pass.backend.dropout_apply({rows, k, dropout, buffers.dropped, dinp.data, true});
}

}  // namespace

void lora_forward(const Pass& pass, Rows rows, Matrix inp, std::initializer_list<LoraPart> parts) {
  LoraForwardAdd args{};
  args.rows = rows;
  args.inp_stride = inp.stride;
  args.inp = inp.data;
  for (const LoraPart& part : parts) {
    const auto& [linear, out, buffers] = part;
    if (pass.mix) linear->mixed_lora_forward(pass, rows, inp, out);
    if (pass.mix || !linear->lora()) continue;
    const LowRank& lora = *linear->lora();
    if (lora.magnitude) dora_forward(pass, rows, inp, part);
    args.k = linear->k();
    args.dropped = buffers.dropped;
    args.updates[args.count++] = {.n = linear->n(),
                                  .r = lora.r,
                                  .out_stride = out.stride,
                                  .scaling = lora.scaling,
                                  .dropout = pass.dropout(lora.dropout_p, lora.site),
                                  .a = lora.a->weight,
                                  .b = lora.b_of_pass(),
                                  .h = buffers.saved.h,
                                  .out = out.data};
  }
  if (args.count > 0) pass.backend.lora_forward_add(args);
}

void lora_backward(const Pass& pass, Rows rows, Matrix inp, Matrix dinp, std::initializer_list<LoraPart> parts,
                   bool layernorm_follows) {
  LoraBackward args{};
  args.rows = rows;
  args.inp_stride = inp.stride;
  args.dinp_stride = dinp.stride;
  args.accumulate = pass.accumulate;
  args.inp = inp.data;
  args.dinp = dinp.data;
  for (const LoraPart& part : parts) {
    const auto& [linear, dout, buffers] = part;
    if (!linear->lora()) continue;
    const LowRank& lora = *linear->lora();
    if (lora.magnitude) dora_backward(pass, rows, dinp, part);
    args.k = linear->k();
    args.dropped = buffers.dropped;
    args.updates[args.count++] = {.n = linear->n(),
                                  .r = lora.r,
                                  .dout_stride = dout.stride,
                                  .scaling = lora.scaling,
                                  .dropout = pass.dropout(lora.dropout_p, lora.site),
                                  .dout = dout.data,
                                  .h = buffers.saved.h,
                                  .a = lora.a->weight,
                                  .b = lora.b_of_pass(),
                                  .dh = buffers.dh[pass.lora_sums ? pass.lora_sums->parity() : 0][0],
                                  .da = lora.a->grad,
                                  .db = lora.b->grad};
  }
  if (args.count == 0) return;
  if (!pass.lora_sums) return pass.backend.lora_backward(args);
  layernorm_follows ? pass.lora_sums->hold(args) : pass.lora_sums->run(args);
}

void Linear::lora_forward(const Pass& pass, Rows rows, Matrix inp, Matrix out, const LoraBuffers& buffers) {
  bertune::lora_forward(pass, rows, inp, {{this, out, buffers}});
}

void Linear::lora_backward(const Pass& pass, Rows rows, Matrix dout, Matrix inp, Matrix dinp,
                           const LoraBuffers& buffers) {
  bertune::lora_backward(pass, rows, inp, dinp, {{this, dout, buffers}});
}

void Linear::mixed_lora_forward(const Pass& pass, Rows rows, Matrix inp, Matrix out) const {
  const LowRankFactors* updates = pass.mix->updates_of(weight_);
  if (!updates) return;
  if (pass.mix->has_magnitudes) {
    pass.backend.mixed_dora_forward({.rows = rows,
                                     .n = n(),
                                     .out_stride = out.stride,
                                     .slots = pass.mix->slots,
                                     .updates = updates,
                                     .bias = bias_->weight,
                                     .out = out.data});
  }
  pass.backend.mixed_lora_forward_add({.rows = rows,
                                       .n = n(),
                                       .k = k(),
                                       .r = pass.mix->rank,
                                       .inp_stride = inp.stride,
                                       .out_stride = out.stride,
                                       .slots = pass.mix->slots,
                                       .updates = updates,
                                       .inp = inp.data,
                                       .h = pass.mix->h,
                                       .out = out.data});
}

}  // namespace bertune
