#include "model/encoder_layer.h"

#include "model/lora_sums.h"
#include "model/row_sums.h"
#include "model/weight_gradients.h"

namespace bertune {

EncoderLayer::EncoderLayer(ParameterTable& parameters, const ModelConfig& model, const LoraConfigs& loras, int index,
                           bool trains_below, bool prefix_trains)
    : model_(model),
      index_(static_cast<uint32_t>(index)),
      query_(parameters, {Role::kQuery, index}, loras, layer_site(index, kLoraSite)),
      key_(parameters, {Role::kKey, index}, loras, layer_site(index, kLoraSite + 1)),
      value_(parameters, {Role::kValue, index}, loras, layer_site(index, kLoraSite + 2)),
      attention_output_(parameters, {Role::kAttentionOutput, index}, loras, layer_site(index, kLoraSite + 3)),
      intermediate_(parameters, {Role::kIntermediate, index}, loras, layer_site(index, kLoraSite + 4)),
      output_(parameters, {Role::kOutput, index}, loras, layer_site(index, kLoraSite + 5)),
      layernorm1_(parameters, {Role::kAttentionNorm, index}, model.eps),
      layernorm2_(parameters, {Role::kOutputNorm, index}, model.eps) {
  reaches_.below = trains_below;
  reaches_.attention = trains_below || prefix_trains || query_.trains() || key_.trains() || value_.trains();
  reaches_.attention_output = reaches_.attention || attention_output_.trains();
  reaches_.layernorm1 = reaches_.attention_output || layernorm1_.trains();
  reaches_.intermediate = reaches_.layernorm1 || intermediate_.trains();
  reaches_.output = reaches_.intermediate || output_.trains();
  reaches_.layer = reaches_.output || layernorm2_.trains();
}

bool EncoderLayer::sums_rows() const {
  bool sums = layernorm1_.trains() || layernorm2_.trains();
  for (const Linear* linear : linears()) sums |= linear->bias()->trainable;
  return sums;
}

bool EncoderLayer::trains_weights() const {
  bool train = false;
  for (const Linear* linear : linears()) train |= linear->weight()->trainable;
  return train;
}

LayerBuffers EncoderLayer::cut(Cutter& cutter, int T, int B, bool first_only, bool training,
                               SharedBuffers& shared) const {
  const int C = model_.C;
  const int rows = first_only ? B : T;
  const int64_t narrow = static_cast<int64_t>(rows) * C;
  const int64_t wide = static_cast<int64_t>(rows) * model_.F;
  // `read`: backward reads the buffer, which is therefore kept.
  const auto real = [&](bool read, int64_t count, Real* (SharedBuffers::*other)()) {
    return training && read ? cutter.real(count) : (shared.*other)();
  };
  const auto acc = [&](bool read, int64_t count, Acc* (SharedBuffers::*other)()) {
    return training && read ? cutter.acc(count) : (shared.*other)();
  };
  // `place`: among the updates that are made together.
  const auto low_rank = [&](const Linear& linear, int count, int place = 0) -> LoraSaved {
    if (!linear.has_lora()) return {};
    const int variants = linear.variants();
    const bool keeps_h = training && (variants > 1 || linear.reads_h());
    return linear.cut_saved(cutter, training ? (count + variants - 1) / variants : count, training, keeps_h,
                            keeps_h ? nullptr : shared.h(place));
  };

  LayerBuffers b{};
  // Rows of q, k and v stand side by side; where q has fewer rows than k and v, it stands in front of them.
  Real* qkv = real(reaches_.attention, narrow + 2LL * T * C, &SharedBuffers::qkv);
  const int kv_stride = first_only ? 2 * C : 3 * C;
  b.q = {qkv, first_only ? C : 3 * C};
  b.k = {cutter.real_after(qkv, first_only ? narrow : C), kv_stride};
  b.v = {cutter.real_after(b.k.data, C), kv_stride};
  b.att = real(reaches_.attention || attention_output_.reads_input(), narrow, &SharedBuffers::att);
  b.lse = acc(reaches_.attention, static_cast<int64_t>(rows) * model_.heads, &SharedBuffers::lse);
  b.norm1.sum = real(reaches_.layernorm1, narrow, &SharedBuffers::sum);
  b.norm1.mean = acc(reaches_.layernorm1, rows, &SharedBuffers::mean);
  b.norm1.rstd = acc(reaches_.layernorm1, rows, &SharedBuffers::rstd);
  b.x1 = real(intermediate_.reads_input(), narrow, &SharedBuffers::x1);
  b.act = real(output_.reads_input(), wide, &SharedBuffers::inner);
  b.pre = training && reaches_.intermediate ? cutter.real(wide) : b.act;
  b.norm2.sum = real(reaches_.layer, narrow, &SharedBuffers::sum);
  b.norm2.mean = acc(reaches_.layer, rows, &SharedBuffers::mean);
  b.norm2.rstd = acc(reaches_.layer, rows, &SharedBuffers::rstd);
  b.query = low_rank(query_, rows);
  b.key = low_rank(key_, T, 1);
  b.value = low_rank(value_, T, 2);
  b.attention_output = low_rank(attention_output_, rows);
  b.intermediate = low_rank(intermediate_, rows);
  b.output = low_rank(output_, rows);
  return b;
}

AttentionForward EncoderLayer::attention(const Pass& pass, const LayerBuffers& b, const PrefixView& prefix,
                                         bool first_only) const {
  return {.C = model_.C,
          .NH = model_.heads,
          .P = prefix.P,
          .first_only = first_only,
          .dropout = pass.dropout(model_.attention_dropout, layer_site(index_, kAttentionSite)),
          .q_stride = b.q.stride,
          .kv_stride = b.k.stride,
          .prefix_stride = prefix.stride,
          .q = b.q.data,
          .k = b.k.data,
          .v = b.v.data,
          .prefix_k = prefix.key,
          .prefix_v = prefix.value,
          .out = b.att,
          .lse = b.lse};
}

Dropout EncoderLayer::attention_output_dropout(const Pass& pass) const {
  return pass.dropout(model_.attention_output_dropout, layer_site(index_, kAttentionOutputSite));
}

Dropout EncoderLayer::output_dropout(const Pass& pass) const {
  return pass.dropout(model_.output_dropout, layer_site(index_, kOutputSite));
}

void EncoderLayer::project_inputs(const Pass& pass, Real* x, const LayerBuffers& b, bool first_only,
                                  const LoraBuffers& lora) {
  const int C = model_.C;
  const Matrix inp{x, C};
  // key and value stand behind query in memory, so one GEMM makes all three, or the two of them.
  const Linear& joined = first_only ? key_ : query_;
  const int parts = first_only ? 2 : 3;
  const Matrix out = first_only ? b.k : b.q;
  pass.backend.linear_forward({.rows = pass.tokens(),
                               .n = parts * C,
                               .k = C,
                               .inp_stride = C,
                               .out_stride = out.stride,
                               .activation = Activation::kNone,
                               .inp = x,
                               .weight = joined.weight()->weight,
                               .bias = joined.bias()->weight,
                               .preactivation = nullptr,
                               .out = out.data});
  const LoraPart query{&query_, b.q, lora.of(0, b.query)};
  const LoraPart key{&key_, b.k, lora.of(0, b.key)}, value{&value_, b.v, lora.of(0, b.value)};
  if (first_only) {
    lora_forward(pass, pass.tokens(), inp, {key, value});
    if (index_ == 0) pass.backend.first_rows_forward({C, C, x, b.first});
    query_.forward(pass, pass.sequences(), {b.first, C}, b.q, Activation::kNone, nullptr, query.buffers);
  } else {
    lora_forward(pass, pass.tokens(), inp, {query, key, value});
  }
}

void EncoderLayer::forward(const Pass& pass, Real* x, const LayerBuffers& b, const PrefixView& prefix, bool first_only,
                           const LoraBuffers& lora, Real* next_first) {
  const int C = model_.C, F = model_.F;
  const Rows rows = first_only ? pass.sequences() : pass.tokens();
  project_inputs(pass, x, b, first_only, lora);
  pass.backend.attention_forward(attention(pass, b, prefix, first_only));

  attention_output_.forward(pass, rows, {b.att, C}, {b.norm1.sum, C}, Activation::kNone, nullptr,
                            lora.of(0, b.attention_output));
  layernorm1_.forward(pass, rows, attention_output_dropout(pass), b.norm1.sum, first_only ? b.first : x, b.norm1, b.x1);

  Real* preactivation = b.pre == b.act && !intermediate_.has_lora() ? nullptr : b.pre;
  intermediate_.forward(pass, rows, {b.x1, C}, {b.act, F}, model_.activation, preactivation,
                        lora.of(0, b.intermediate));
  output_.forward(pass, rows, {b.act, F}, {b.norm2.sum, C}, Activation::kNone, nullptr, lora.of(0, b.output));
  layernorm2_.forward(pass, rows, output_dropout(pass), b.norm2.sum, b.x1, b.norm2, b.out, next_first);
}

void EncoderLayer::backward(const Pass& pass, Real* x, const LayerBuffers& b, const PrefixView& prefix, bool first_only,
                            const BackwardBuffers& grads, const LoraBuffers& lora) {
  backward_all(pass, x, b, prefix, first_only, grads, lora);
  if (pass.row_sums) pass.row_sums->run();
  // Of what a layer leaves, the gradients of q, k and v alone outlast the work of the one below.
  const bool ends_in_projections = query_.has_lora() || key_.has_lora() || value_.has_lora();
  if (pass.lora_sums && !ends_in_projections) pass.lora_sums->finish();
}

void EncoderLayer::backward_all(const Pass& pass, Real* x, const LayerBuffers& b, const PrefixView& prefix,
                                bool first_only, const BackwardBuffers& grads, const LoraBuffers& lora) {
  const int C = model_.C, F = model_.F;
  const Rows rows = first_only ? pass.sequences() : pass.tokens();
  const ResidualGradients& residual = first_only ? grads.first : grads.tokens;
  const Matrix dbranch{grads.dbranch, C}, dattention{grads.dattention, C};
  const Matrix dact{grads.dwide, F}, datt{grads.datt, C};
  const auto before_write = [&](Real* gradient, int64_t count) {
    if (pass.weight_gradients) pass.weight_gradients->before_write(gradient, count);
  };

  before_write(grads.dbranch, int64_t{rows.count} * C);
  layernorm2_.backward(pass, rows, output_dropout(pass), residual.out, b.norm2, residual.x1,
                       reaches_.output ? grads.dbranch : nullptr);
  if (!reaches_.output) return;

  output_.backward_weight(pass, rows, dbranch, {b.act, F});
  if (!reaches_.intermediate) {
    output_.lora_backward(pass, rows, dbranch, {b.act, F}, {nullptr, F}, lora.of(0, b.output));
    return;
  }
  before_write(dact.data, int64_t{rows.count} * F);
  if (output_.has_lora()) {
    output_.backward_input(pass, rows, dbranch, dact, false);
    output_.lora_backward(pass, rows, dbranch, {b.act, F}, dact, lora.of(0, b.output));
    pass.backend.activation_backward({rows, F, model_.activation, b.pre, dact.data, dact.data, {}});
  } else {
    output_.backward_input(pass, rows, dbranch, dact, false, model_.activation, b.pre);
  }

  const Matrix dx1{reaches_.layernorm1 ? residual.x1 : nullptr, C};
  intermediate_.backward_weight(pass, rows, dact, {b.x1, C});
  if (reaches_.layernorm1) intermediate_.backward_input(pass, rows, dact, dx1, true);
  intermediate_.lora_backward(pass, rows, dact, {b.x1, C}, dx1, lora.of(0, b.intermediate));
  if (!reaches_.layernorm1) return;

  before_write(grads.dattention, int64_t{rows.count} * C);
  layernorm1_.backward(pass, rows, attention_output_dropout(pass), residual.x1, b.norm1, residual.x,
                       reaches_.attention_output ? grads.dattention : nullptr);
  if (!reaches_.attention_output) return;

  attention_output_.backward_weight(pass, rows, dattention, {b.att, C});
  before_write(datt.data, int64_t{rows.count} * C);
  if (reaches_.attention) attention_output_.backward_input(pass, rows, dattention, datt, false);
  attention_output_.lora_backward(pass, rows, dattention, {b.att, C}, {reaches_.attention ? datt.data : nullptr, C},
                                  lora.of(0, b.attention_output));
  if (!reaches_.attention) return;

  // Gradients of q, k, v lie in dqkv as q, k, v lie in theirs: (T,3C), or q (B,C) followed by k, v (T,2C).
  before_write(grads.dqkv, 3LL * pass.batch.T * C);
  Backend& backend = pass.backend;
  Real* dk = offset(backend, grads.dqkv, first_only ? static_cast<int64_t>(pass.batch.B) * C : C);
  backend.attention_backward({.forward = attention(pass, b, prefix, first_only),
                              .accumulate = prefix.accumulate,
                              .dprefix_stride = prefix.stride,
                              .dout = datt.data,
                              .dq = grads.dqkv,
                              .dk = dk,
                              .dv = offset(backend, dk, C),
                              .prefix_partials = prefix.partials,
                              .dprefix_k = prefix.dkey,
                              .dprefix_v = prefix.dvalue});
  if (first_only) {
    backward_projections_first(pass, x, b, grads, lora);
  } else {
    backward_projections(pass, x, b, grads, lora);
  }
}

void EncoderLayer::backward_projections(const Pass& pass, Real* x, const LayerBuffers& b, const BackwardBuffers& grads,
                                        const LoraBuffers& lora) {
  const int C = model_.C;
  Backend& backend = pass.backend;
  const Rows rows = pass.tokens();
  const Matrix inp{x, C}, dinp{reaches_.below ? grads.tokens.x : nullptr, C};
  Linear* linears[] = {&query_, &key_, &value_};
  const auto dout_of = [&](int part) {
    return Matrix{offset(backend, grads.dqkv, static_cast<int64_t>(part) * C), 3 * C};
  };

  const bool all_train = query_.weight()->trainable && key_.weight()->trainable && value_.weight()->trainable &&
                         query_.bias()->trainable && key_.bias()->trainable && value_.bias()->trainable;
  const bool later = pass.row_sums != nullptr;
  if (all_train && later) {
    pass.row_sums->add({.rows = rows,
                        .n = 3 * C,
                        .dout_stride = 3 * C,
                        .dout = grads.dqkv,
                        .sum = nullptr,
                        .mean = nullptr,
                        .rstd = nullptr,
                        .dgamma = nullptr,
                        .dbeta = query_.bias()->grad});
  }
  if (all_train) {
    backward_weight_of(pass, {.rows = rows,
                              .n = 3 * C,
                              .k = C,
                              .dout_stride = 3 * C,
                              .inp_stride = C,
                              .accumulate = pass.accumulate,
                              .dout = grads.dqkv,
                              .inp = x,
                              .dweight = query_.weight()->grad,
                              .dbias = later ? nullptr : query_.bias()->grad});
  }
  if (dinp.data) {
    backend.linear_backward_input({.rows = rows,
                                   .n = 3 * C,
                                   .k = C,
                                   .dout_stride = 3 * C,
                                   .dinp_stride = C,
                                   .add_to_dinp = true,
                                   .activation = Activation::kNone,
                                   .dout = grads.dqkv,
                                   .weight = query_.weight()->weight,
                                   .saved = nullptr,
                                   .dinp = dinp.data,
                                   .gradient = nullptr});
  }
  for (int part = 0; !all_train && part < 3; ++part) linears[part]->backward_weight(pass, rows, dout_of(part), inp);
  lora_backward(pass, rows, inp, dinp,
                {{&query_, dout_of(0), lora.of(0, b.query)},
                 {&key_, dout_of(1), lora.of(1, b.key)},
                 {&value_, dout_of(2), lora.of(2, b.value)}},
                dinp.data != nullptr);
}

void EncoderLayer::backward_projections_first(const Pass& pass, Real* x, const LayerBuffers& b,
                                              const BackwardBuffers& grads, const LoraBuffers& lora) {
  const int C = model_.C;
  Backend& backend = pass.backend;
  const Matrix dq{grads.dqkv, C};
  const Matrix dk{offset(backend, grads.dqkv, static_cast<int64_t>(pass.batch.B) * C), 2 * C};
  const Matrix dv{offset(backend, dk.data, C), 2 * C};
  const Matrix inp{x, C}, first{b.first, C};
  const Matrix dinp{reaches_.below ? grads.tokens.x : nullptr, C}, dfirst{reaches_.below ? grads.first.x : nullptr, C};

  query_.backward_weight(pass, pass.sequences(), dq, first);
  key_.backward_weight(pass, pass.tokens(), dk, inp);
  value_.backward_weight(pass, pass.tokens(), dv, inp);
  if (reaches_.below) {
    query_.backward_input(pass, pass.sequences(), dq, dfirst, true);
    backend.linear_backward_input({.rows = pass.tokens(),
                                   .n = 2 * C,
                                   .k = C,
                                   .dout_stride = 2 * C,
                                   .dinp_stride = C,
                                   .add_to_dinp = false,
                                   .activation = Activation::kNone,
                                   .dout = dk.data,
                                   .weight = key_.weight()->weight,
                                   .saved = nullptr,
                                   .dinp = dinp.data,
                                   .gradient = nullptr});
  }
  query_.lora_backward(pass, pass.sequences(), dq, first, dfirst, lora.of(0, b.query));
  lora_backward(pass, pass.tokens(), inp, dinp, {{&key_, dk, lora.of(0, b.key)}, {&value_, dv, lora.of(1, b.value)}});
  if (reaches_.below) backend.first_rows_backward({C, true, dfirst.data, dinp.data});
}

}  // namespace bertune
