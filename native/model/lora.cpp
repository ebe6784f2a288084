// Low-rank updates (Hu et al., "LoRA", 2021) of the linear modules that carry one:
//   h = dropout(inp) · Aᵀ,  out += scaling · h · Bᵀ      inp (rows,k) → h (rows,r) → out (rows,n)
// h is saved where backward reads it; the dropped input is made again from the same mask.
#include "model/linear.h"

namespace bertune {

void Linear::lora_forward(const Pass& pass, Rows rows, Matrix inp, Matrix out, const LoraBuffers& buffers) {
  if (pass.mix) return mixed_lora_forward(pass, rows, inp, out);
  if (!lora_) return;
  pass.backend.lora_forward_add({.rows = rows,
                                 .n = n(),
                                 .k = k(),
                                 .r = lora_->r,
                                 .inp_stride = inp.stride,
                                 .out_stride = out.stride,
                                 .scaling = lora_->scaling,
                                 .dropout = pass.dropout(lora_->dropout_p, lora_->site),
                                 .inp = inp.data,
                                 .a = lora_->a->weight,
                                 .b = lora_->b->weight,
                                 .dropped = buffers.dropped,
                                 .h = buffers.h,
                                 .out = out.data});
}

void Linear::mixed_lora_forward(const Pass& pass, Rows rows, Matrix inp, Matrix out) {
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

void Linear::lora_backward(const Pass& pass, Rows rows, Matrix dout, Matrix inp, Matrix dinp,
                           const LoraBuffers& buffers) {
  if (!lora_) return;
  pass.backend.lora_backward({.rows = rows,
                              .n = n(),
                              .k = k(),
                              .r = lora_->r,
                              .inp_stride = inp.stride,
                              .dout_stride = dout.stride,
                              .dinp_stride = dinp.stride,
                              .accumulate = pass.accumulate,
                              .scaling = lora_->scaling,
                              .dropout = pass.dropout(lora_->dropout_p, lora_->site),
                              .dout = dout.data,
                              .inp = inp.data,
                              .h = buffers.h,
                              .a = lora_->a->weight,
                              .b = lora_->b->weight,
                              .dropped = buffers.dropped,
                              .dh = buffers.dh,
                              .da = lora_->a->grad,
                              .db = lora_->b->grad,
                              .dinp = dinp.data});
}

}  // namespace bertune
