// One post-LayerNorm encoder layer, as in BERT, forward and backward:
//
//   x (T,C) → q,k,v (T,3C) → att (T,C) → sum1 = x + dropout(dense(att)) → x1 = LayerNorm(sum1) (T,C)
//   → pre (T,F) → act = activation(pre) (T,F) → sum2 = x1 + dropout(dense(act)) → out = LayerNorm(sum2) (T,C)
//
// The last layer may run `first_only`: only the first token of each sequence reaches the pooler, so queries and all that
// follows have B rows, while keys and values keep T.
#pragma once

#include <array>
#include <utility>

#include "core/arena.h"
#include "model/layernorm.h"
#include "model/linear.h"
#include "model/shared_buffers.h"

namespace bertune {

// The buffers that a layer writes in forward. Those that backward reads are the layer's own; all layers share the rest.
struct LayerBuffers {
  Matrix q, k, v;  // parts of (T,3C); first_only: q (B,C), k and v parts of (T,2C)
  Real* first;     // (B,C) first_only: the rows of x that continue, written by the layer below. Not cut by the layer
  Real* att;       // (rows,C)
  Acc* lse;        // (rows,NH)
  LayerNormBuffers norm1;
  Real* x1;   // (rows,C)
  Real* pre;  // (rows,F)
  Real* act;  // (rows,F)
  LayerNormBuffers norm2;
  Real* out;  // (rows,C) not cut by the layer
  // Of each linear's low-rank update.
  LoraSaved query, key, value, attention_output, intermediate, output;
};

// The gradients along the residual branches: of a layer's output, of x1 and of its input. All are one buffer, unless a
// layer puts off its sums over rows to its end.
struct ResidualGradients {
  Real *out, *x1, *x;
};

// Scratch of the backward pass, shared by all layers.
struct BackwardBuffers {
  ResidualGradients tokens;  // (T,C) out on entry, x on return
  ResidualGradients first;   // (B,C) the same for the rows of a first_only layer
  Real* dbranch;             // (T,C) gradient of output's result, past dropout
  Real* dattention;          // (T,C) of attention_output's; may be dbranch if no sums are put off
  Real* dwide;               // (T,F) gradient of act and pre
  Real* datt;                // (T,C) of att; may be dwide, as above
  Real* dqkv;                // (T,3C)
  Real* other_dqkv;          // (T,3C) the layer above's, whose sums may be put off; if not, may be dqkv

  // For the layer below, the gradient of this layer's input is that of its output.
  void step_down() {
    tokens = {tokens.x, tokens.out, tokens.x1};
    std::swap(dqkv, other_dqkv);
  }
};

// The keys and values of the virtual tokens for one layer; P = 0 if there are none.
struct PrefixView {
  int P = 0;
  int stride = 0;
  const Real* key = nullptr;    // (P,C)
  const Real* value = nullptr;  // (P,C)
  Acc* dkey = nullptr;          // null if the prefix does not train or `partials` are wanted
  Acc* dvalue = nullptr;
  Acc* partials = nullptr;  // (B,P,2C) of the gradients; a workspace if dkey is not null
  bool accumulate = false;
};

class EncoderLayer {
 public:
  // `trains_below`: something below the layer trains, so its input needs a gradient.
  EncoderLayer(ParameterTable& parameters, const ModelConfig& model, const LoraConfigs& loras, int index,
               bool trains_below, bool prefix_trains);

  // Whether something in the layer or below it trains: backward comes through here.
  bool reached() const { return reaches_.layer; }

  // Whether biases or LayerNorms of the layer train.
  bool sums_rows() const;

  // Whether weights of its Linears train, low-rank updates aside.
  bool trains_weights() const;

  // Whether backward reads the layer's input.
  bool reads_input() const { return query_.reads_input() || key_.reads_input() || value_.reads_input(); }

  // Takes the layer's buffers for T tokens and B sequences, except those that other layers see: `first` and `out`. In
  // training, buffers that backward reads become the layer's own; the others are `shared`, and other layers overwrite them.
  LayerBuffers cut(Cutter& cutter, int T, int B, bool first_only, bool training, SharedBuffers& shared) const;

  // x (T,C) → buffers.out (T,C), or (B,C) when first_only. `next_first`: the `first` of the layer above, or null.
  void forward(const Pass& pass, Real* x, const LayerBuffers& buffers, const PrefixView& prefix, bool first_only,
               const LoraBuffers& lora, Real* next_first);
  // Gradient of out in grads.tokens.out (grads.first.out when first_only) → gradient of x in grads.tokens.x, if anything
  // below trains.
  void backward(const Pass& pass, Real* x, const LayerBuffers& buffers, const PrefixView& prefix, bool first_only,
                const BackwardBuffers& grads, const LoraBuffers& lora);

 private:
  void project_inputs(const Pass&, Real* x, const LayerBuffers&, bool first_only, const LoraBuffers&);
  void backward_all(const Pass&, Real* x, const LayerBuffers&, const PrefixView&, bool first_only,
                    const BackwardBuffers&, const LoraBuffers&);
  void backward_projections(const Pass&, Real* x, const LayerBuffers&, const BackwardBuffers&, const LoraBuffers&);
  void backward_projections_first(const Pass&, Real* x, const LayerBuffers&, const BackwardBuffers&,
                                  const LoraBuffers&);
  Dropout attention_output_dropout(const Pass&) const;
  Dropout output_dropout(const Pass&) const;
  std::array<const Linear*, 6> linears() const {
    return {&query_, &key_, &value_, &attention_output_, &intermediate_, &output_};
  }
  AttentionForward attention(const Pass&, const LayerBuffers&, const PrefixView&, bool first_only) const;

  // How far down backward has to go: each is true if something at that point or below it trains.
  struct Reaches {
    bool below, attention, attention_output, layernorm1, intermediate, output, layer;
  };

  const ModelConfig& model_;
  uint32_t index_;
  Linear query_, key_, value_, attention_output_, intermediate_, output_;
  LayerNorm layernorm1_, layernorm2_;
  Reaches reaches_;
};

}  // namespace bertune
