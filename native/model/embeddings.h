// The embeddings: word + token type + position → LayerNorm → dropout (T,E), and if E is not the hidden size, a Linear on
// top: (T) → (T,C). Positions start at the architecture's offset, after the P virtual tokens.
#pragma once

#include <optional>

#include "model/layernorm.h"
#include "model/linear.h"
#include "model/shared_buffers.h"

namespace bertune {

struct EmbeddingBuffers {
  Real* sum;         // (T,E) saved if backward reads it, else `embedded`
  Acc* mean;         // (T) saved
  Acc* rstd;         // (T) saved
  Real* embedded;    // (T,E) what the projection sees; without one, `out`
  LoraSaved update;  // of the projection's low-rank update
  Real* out;         // (T,C)
  Real* dembedded;   // (T,E) scratch of the projection's backward
  Real* dsum;        // (T,E) scratch of backward
};

class Embeddings {
 public:
  Embeddings(ParameterTable& parameters, const ModelConfig& model, const LoraConfigs& loras);

  bool trains() const { return tables_train() || (projection_ && projection_->trains()); }
  // Whether backward sums the gradients of equal ids and positions.
  bool tables_train() const;
  // In training, buffers that backward reads become the embeddings' own, including the output if `out_is_read` by the layer
  // above.
  EmbeddingBuffers cut(Cutter& cutter, int T, bool training, bool out_is_read, SharedBuffers& shared) const;
  void forward(const Pass& pass, const EmbeddingBuffers& buffers, const LoraBuffers& lora);
  void backward(const Pass& pass, const EmbeddingBuffers& buffers, Real* dout, const LoraBuffers& lora);

 private:
  const ModelConfig& model_;
  Parameter *word_, *position_, *token_type_;  // token_type_ is null if there is no such table
  LayerNorm layernorm_;
  std::optional<Linear> projection_;
};

}  // namespace bertune
