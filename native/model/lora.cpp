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
  const LowRank& lora = *linear->lora(0);
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
  const LowRank& lora = *linear->lora(0);
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

// The rows of one part of a batch: see BatchParts.
class PartRows {
 public:
  PartRows(const Pass& pass, int part, Rows rows) : backend_(pass.backend), own_(pass.of_part(rows)) {
    first_ = static_cast<int64_t>(part) * own_.count;
  }

  Rows rows() const { return own_; }
  // Of a matrix (rows,·) over all parts.
  Real* of(Real* all, int stride) const { return all ? offset(backend_, all, first_ * stride) : nullptr; }

 private:
  const Backend& backend_;
  Rows own_;
  int64_t first_;
};

void lora_forward_part(const Pass& pass, int number, Rows all_rows, Matrix inp, std::initializer_list<LoraPart> parts) {
  const int variant = pass.parts.variants[number];
  const PartRows part_rows(pass, number, all_rows);
  LoraForwardAdd args{};
  args.rows = part_rows.rows();
  args.inp_stride = inp.stride;
  args.inp = part_rows.of(inp.data, inp.stride);
  for (const LoraPart& part : parts) {
    const auto& [linear, out, buffers] = part;
    if (!linear->lora(variant)) continue;
    const LowRank& lora = *linear->lora(variant);
    if (lora.magnitude) dora_forward(pass, all_rows, inp, part);
    args.k = linear->k();
    args.dropped = part_rows.of(buffers.dropped, args.k);
    args.updates[args.count++] = {.n = linear->n(),
                                  .r = lora.r,
                                  .out_stride = out.stride,
                                  .scaling = lora.scaling,
                                  .dropout = pass.dropout(lora.dropout_p, lora.site),
                                  .a = lora.a->weight,
                                  .b = lora.b_of_pass(),
                                  .h = buffers.saved.h[variant],
                                  .out = part_rows.of(out.data, out.stride)};
  }
  if (args.count > 0) pass.backend.lora_forward_add(args);
}

void lora_backward_part(const Pass& pass, int number, Rows all_rows, Matrix inp, Matrix dinp,
                        std::initializer_list<LoraPart> parts, bool holds) {
  const int variant = pass.parts.variants[number];
  const PartRows part_rows(pass, number, all_rows);
  LoraBackward args{};
  args.rows = part_rows.rows();
  args.inp_stride = inp.stride;
  args.dinp_stride = dinp.stride;
  args.accumulate = pass.accumulate;
  args.inp = part_rows.of(inp.data, inp.stride);
  args.dinp = part_rows.of(dinp.data, dinp.stride);
  for (const LoraPart& part : parts) {
    const auto& [linear, dout, buffers] = part;
    if (!linear->lora(variant)) continue;
    const LowRank& lora = *linear->lora(variant);
    if (lora.magnitude) dora_backward(pass, all_rows, dinp, part);
    args.k = linear->k();
    args.dropped = part_rows.of(buffers.dropped, args.k);
    Real* dh = buffers.dh[pass.lora_sums ? pass.lora_sums->parity() : 0][0];
    args.updates[args.count++] = {.n = linear->n(),
                                  .r = lora.r,
                                  .dout_stride = dout.stride,
                                  .scaling = lora.scaling,
                                  .dropout = pass.dropout(lora.dropout_p, lora.site),
                                  .dout = part_rows.of(dout.data, dout.stride),
                                  .h = buffers.saved.h[variant],
                                  .a = lora.a->weight,
                                  .b = lora.b_of_pass(),
                                  .dh = part_rows.of(dh, buffers.rank),
                                  .da = lora.a->grad,
                                  .db = lora.b->grad};
  }
  if (args.count == 0) return;
  if (!pass.lora_sums) return pass.backend.lora_backward(args);
  holds ? pass.lora_sums->hold(args) : pass.lora_sums->run(args);
}

}  // namespace

void lora_forward(const Pass& pass, Rows rows, Matrix inp, std::initializer_list<LoraPart> parts) {
  if (pass.mix) {
    for (const LoraPart& part : parts) part.linear->mixed_lora_forward(pass, rows, inp, part.out);
    return;
  }
  for (int i = 0; i < pass.parts.count; ++i) lora_forward_part(pass, i, rows, inp, parts);
}

void lora_backward(const Pass& pass, Rows rows, Matrix inp, Matrix dinp, std::initializer_list<LoraPart> parts,
                   bool layernorm_follows) {
  // A LayerNorm goes on from all rows, not those of a part.
  const bool holds = layernorm_follows && pass.parts.count == 1;
  for (int i = 0; i < pass.parts.count; ++i) lora_backward_part(pass, i, rows, inp, dinp, parts, holds);
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
