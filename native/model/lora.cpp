// Low-rank updates (Hu et al., "LoRA", 2021) of the linear modules that carry one:
//   h = dropout(inp) · Aᵀ,  out += scaling · h · Bᵀ      inp (rows,k) → h (rows,r) → out (rows,n)
// h is saved where backward reads it; the dropped input is made again from the same mask.
#include "model/linear.h"
#include "model/lora_sums.h"

namespace bertune {

void lora_forward(const Pass& pass, Rows rows, Matrix inp, std::initializer_list<LoraPart> parts) {
  LoraForwardAdd args{};
  args.rows = rows;
  args.inp_stride = inp.stride;
  args.inp = inp.data;
  for (const auto& [linear, out, buffers] : parts) {
    if (pass.mix) linear->mixed_lora_forward(pass, rows, inp, out);
    if (pass.mix || !linear->lora()) continue;
    const LowRank& lora = *linear->lora();
    args.k = linear->k();
    args.dropped = buffers.dropped;
    args.updates[args.count++] = {.n = linear->n(),
                                  .r = lora.r,
                                  .out_stride = out.stride,
                                  .scaling = lora.scaling,
                                  .dropout = pass.dropout(lora.dropout_p, lora.site),
                                  .a = lora.a->weight,
                                  .b = lora.b->weight,
                                  .h = buffers.h,
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
  for (const auto& [linear, dout, buffers] : parts) {
    if (!linear->lora()) continue;
    const LowRank& lora = *linear->lora();
    args.k = linear->k();
    args.dropped = buffers.dropped;
    args.updates[args.count++] = {.n = linear->n(),
                                  .r = lora.r,
                                  .dout_stride = dout.stride,
                                  .scaling = lora.scaling,
                                  .dropout = pass.dropout(lora.dropout_p, lora.site),
                                  .dout = dout.data,
                                  .h = buffers.h,
                                  .a = lora.a->weight,
                                  .b = lora.b->weight,
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
