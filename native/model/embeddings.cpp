#include "model/embeddings.h"

#include <algorithm>

namespace bertune {

Embeddings::Embeddings(ParameterTable& parameters, const ModelConfig& model, const LoraConfigs& loras)
    : model_(model),
      word_(&parameters.at({Role::kWord}, Part::kWeight)),
      position_(&parameters.at({Role::kPosition}, Part::kWeight)),
      token_type_(model.types > 0 ? &parameters.at({Role::kTokenType}, Part::kWeight) : nullptr),
      layernorm_(parameters, {Role::kEmbeddingNorm}, model.eps) {
  const Module projection{Role::kEmbeddingProjection};
  if (parameters.has(projection)) projection_.emplace(parameters, projection, loras, kEmbeddingProjectionLoraSite);
}

bool Embeddings::tables_train() const {
  return word_->trainable || position_->trainable || (token_type_ && token_type_->trainable) || layernorm_.trains();
}

EmbeddingBuffers Embeddings::cut(Cutter& cutter, int T, bool training, bool out_is_read, SharedBuffers& shared) const {
  const int64_t embedded = static_cast<int64_t>(T) * model_.E;
  const int64_t hidden = static_cast<int64_t>(T) * model_.C;
  const bool backward = training && tables_train();
  EmbeddingBuffers b{};
  b.out = training && out_is_read ? cutter.real(hidden) : shared.out();
  b.embedded = projection_ ? cutter.real(embedded) : b.out;
  b.sum = backward ? cutter.real(embedded) : b.embedded;
  b.mean = cutter.acc(T);
  b.rstd = cutter.acc(T);
  if (projection_) {
    const int variants = training ? projection_->variants() : 1;
    b.update = projection_->cut_saved(cutter, (T + variants - 1) / variants, training, true);
  }
  if (backward) b.dsum = cutter.real(embedded);
  if (backward && projection_) b.dembedded = cutter.real(embedded);
  return b;
}

void Embeddings::forward(const Pass& pass, const EmbeddingBuffers& b, const LoraBuffers& lora) {
  const int E = model_.E, C = model_.C;
  pass.backend.embedding_forward({.V = model_.V,
                                  .C = E,
                                  .P = model_.position_offset + (pass.mix ? pass.mix->prefix_tokens : model_.P),
                                  .padding_position = std::max(model_.position_offset - 1, 0),
                                  .eps = layernorm_.eps(),
                                  .dropout = pass.dropout(model_.embedding_dropout, kEmbeddingSite),
                                  .word = word_->weight,
                                  .token_type = token_type_ ? token_type_->weight : nullptr,
                                  .position = position_->weight,
                                  .gamma = layernorm_.gamma().weight,
                                  .beta = layernorm_.beta().weight,
                                  .sum = b.sum,
                                  .mean = b.mean,
                                  .rstd = b.rstd,
                                  .out = b.embedded});
  if (!projection_) return;
  projection_->forward(pass, pass.tokens(), {b.embedded, E}, {b.out, C}, Activation::kNone, nullptr,
                       lora.of(0, b.update));
}

void Embeddings::backward(const Pass& pass, const EmbeddingBuffers& b, Real* dout, const LoraBuffers& lora) {
  const int E = model_.E, C = model_.C;
  if (projection_) {
    const Matrix inp{b.embedded, E}, dinp{b.dembedded, E};
    projection_->backward_weight(pass, pass.tokens(), {dout, C}, inp);
    if (tables_train()) projection_->backward_input(pass, pass.tokens(), {dout, C}, dinp, false);
    projection_->lora_backward(pass, pass.tokens(), {dout, C}, inp, dinp, lora.of(0, b.update));
  }
  if (!tables_train()) return;
  pass.backend.embedding_backward({.V = model_.V,
                                   .C = E,
                                   .P = model_.position_offset + model_.P,
                                   .types = model_.types,
                                   .positions = model_.positions,
                                   .word_rows = word_->gradient_rows,
                                   .padding_id = model_.padding_id,
                                   .accumulate = pass.accumulate,
                                   .dropout = pass.dropout(model_.embedding_dropout, kEmbeddingSite),
                                   .sum = b.sum,
                                   .mean = b.mean,
                                   .rstd = b.rstd,
                                   .gamma = layernorm_.gamma().weight,
                                   .dout = projection_ ? b.dembedded : dout,
                                   .dsum = b.dsum,
                                   .dword = word_->grad,
                                   .dtoken_type = token_type_ ? token_type_->grad : nullptr,
                                   .dposition = position_->grad,
                                   .dgamma = layernorm_.gamma().grad,
                                   .dbeta = layernorm_.beta().grad});
}

}  // namespace bertune
