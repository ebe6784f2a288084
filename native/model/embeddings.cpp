#include "model/embeddings.h"

namespace bertune {

Embeddings::Embeddings(ParameterTable& parameters, const ModelConfig& model, int prefix_tokens)
    : model_(model),
      prefix_tokens_(prefix_tokens),
      word_(&parameters.at("bert.embeddings.word_embeddings.weight")),
      position_(&parameters.at("bert.embeddings.position_embeddings.weight")),
      token_type_(&parameters.at("bert.embeddings.token_type_embeddings.weight")),
      layernorm_(parameters, "bert.embeddings.LayerNorm", model.eps) {}

bool Embeddings::trains() const {
  return word_->trainable || position_->trainable || token_type_->trainable || layernorm_.trains();
}

EmbeddingBuffers Embeddings::cut(Cutter& cutter, int T, bool training, bool out_is_read, SharedBuffers& shared) const {
  const int64_t count = static_cast<int64_t>(T) * model_.C;
  const bool backward = training && trains();
  EmbeddingBuffers b{};
  b.out = training && out_is_read ? cutter.real(count) : shared.out();
  b.sum = backward ? cutter.real(count) : b.out;
  b.mean = cutter.acc(T);
  b.rstd = cutter.acc(T);
  if (backward) b.dsum = cutter.real(count);
  return b;
}

void Embeddings::forward(const Pass& pass, const EmbeddingBuffers& b) {
  pass.backend.embedding_forward({.V = model_.V,
                                  .C = model_.C,
                                  .P = pass.mix ? pass.mix->prefix_tokens : prefix_tokens_,
                                  .eps = layernorm_.eps(),
                                  .dropout = pass.dropout(model_.hidden_dropout, kEmbeddingSite),
                                  .word = word_->weight,
                                  .token_type = token_type_->weight,
                                  .position = position_->weight,
                                  .gamma = layernorm_.gamma().weight,
                                  .beta = layernorm_.beta().weight,
                                  .sum = b.sum,
                                  .mean = b.mean,
                                  .rstd = b.rstd,
                                  .out = b.out});
}

void Embeddings::backward(const Pass& pass, const EmbeddingBuffers& b, const Real* dout) {
  pass.backend.embedding_backward({.V = model_.V,
                                   .C = model_.C,
                                   .P = prefix_tokens_,
                                   .types = model_.types,
                                   .positions = model_.positions,
                                   .padding_id = model_.padding_id,
                                   .accumulate = pass.accumulate,
                                   .dropout = pass.dropout(model_.hidden_dropout, kEmbeddingSite),
                                   .sum = b.sum,
                                   .mean = b.mean,
                                   .rstd = b.rstd,
                                   .gamma = layernorm_.gamma().weight,
                                   .dout = dout,
                                   .dsum = b.dsum,
                                   .dword = word_->grad,
                                   .dtoken_type = token_type_->grad,
                                   .dposition = position_->grad,
                                   .dgamma = layernorm_.gamma().grad,
                                   .dbeta = layernorm_.beta().grad});
}

}  // namespace bertune
