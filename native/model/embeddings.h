// BERT's embeddings: word + token type + position → LayerNorm → dropout, (T) → (T,C). Virtual tokens take the first
// P positions, so the text's start at P.
#pragma once

#include "model/layernorm.h"
#include "model/shared_buffers.h"

namespace bertune {

struct EmbeddingBuffers {
  Real* sum;   // (T,C) saved where backward reads it, else `out`
  Acc* mean;   // (T) saved
  Acc* rstd;   // (T) saved
  Real* out;   // (T,C)
  Real* dsum;  // (T,C) scratch of backward
};

class Embeddings {
 public:
  Embeddings(ParameterTable& parameters, const ModelConfig& model, int prefix_tokens);

  bool trains() const;
  // In training, what backward reads becomes their own, the output as well where `out_is_read` by the layer above.
  EmbeddingBuffers cut(Cutter& cutter, int T, bool training, bool out_is_read, SharedBuffers& shared) const;
  void forward(const Pass& pass, const EmbeddingBuffers& buffers);
  void backward(const Pass& pass, const EmbeddingBuffers& buffers, const Real* dout);

 private:
  const ModelConfig& model_;
  int prefix_tokens_;
  Parameter *word_, *position_, *token_type_;
  LayerNorm layernorm_;
};

}  // namespace bertune
