// A linear module of the model, with the low-rank update it may carry (lora.cpp).
//
//   out = activation(inp · Wᵀ + b + scaling · dropout(inp) · Aᵀ · Bᵀ)      inp (rows,k) → out (rows,n)
//
// An update with a magnitude also adds (scale − 1) ∘ (dropout(inp) · Wᵀ), and has scale ∘ B in place of B.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <vector>

#include "core/arena.h"
#include "model/config.h"
#include "model/magnitudes.h"
#include "model/pass.h"

namespace bertune {

// A matrix of activations whose rows may have gaps between them, e.g. the query part of (T,3C).
struct Matrix {
  Real* data;
  int stride;
};

struct LowRank {
  Parameter* a;  // (r,k)
  Parameter* b;  // (n,r)
  int r;
  double scaling;
  double dropout_p;
  uint32_t site;
  const Magnitude* magnitude;  // or null

  // B as passes take it.
  const Real* b_of_pass() const { return magnitude ? magnitude->scaled_b : b->weight; }
  bool trains() const { return a->trainable || b->trainable; }
};

// What a low-rank update saves for backward, if backward reads it.
struct LoraSaved {
  Real* h[kMostVariants] = {};  // (rows,r) of each variant's part
  Real* base = nullptr;         // (rows,n) dropout(inp) · Wᵀ, with a magnitude, in training
};

// What a low-rank update writes: what it saves, and scratch memory that all updates share.
struct LoraBuffers {
  LoraSaved saved;
  Real* dropped = nullptr;             // (rows,k)
  int rank = 0;                        // the most of any update
  Real* dbase = nullptr;               // (rows,n) if there are magnitudes
  Real* dh[2][kMostLoraUpdates] = {};  // (rows,rank) of each update in one operation; two sets that take turns

  // The buffers of the update at `place` among those in one operation.
  LoraBuffers of(int place, const LoraSaved& own) const {
    return {own, dropped, rank, dbase, {{dh[0][place]}, {dh[1][place]}}};
  }
};

class Linear {
 public:
  // Looks the module up in the table; in each variant it has a low-rank update if the table has rows for one. `variant`:
  // whose weights it has, if they are not those of all.
  Linear(ParameterTable& parameters, const Module& module, const LoraConfigs& loras, uint32_t lora_site,
         int variant = 0);

  int n() const { return static_cast<int>(weight_->shape[0]); }
  int k() const { return static_cast<int>(weight_->shape[1]); }
  Parameter* weight() const { return weight_; }
  Parameter* bias() const { return bias_; }
  const std::optional<LowRank>& lora(int variant) const { return loras_[variant]; }

  int variants() const { return static_cast<int>(loras_.size()); }

  // Whether it has a low-rank update in any variant; the rest, too, is true if it is in any.
  bool has_lora() const {
    return in_any([](const LowRank&) { return true; });
  }
  bool trains() const {
    return base_trains() || in_any([](const LowRank& lora) { return lora.trains(); });
  }
  bool base_trains() const { return weight_->trainable || bias_->trainable; }
  // Whether backward reads the module's input.
  bool reads_input() const {
    return weight_->trainable || in_any([](const LowRank& lora) { return lora.a->trainable; });
  }
  // Whether backward reads h of its low-rank update.
  bool reads_h() const {
    return in_any([](const LowRank& lora) { return lora.b->trainable; });
  }

  // Takes what the low-rank updates save in a batch of at most that many rows. `keeps_h`: not in `shared`, which other
  // modules overwrite.
  LoraSaved cut_saved(Cutter& cutter, int rows, bool training, bool keeps_h, Real* shared = nullptr) const;

  // Writes `preactivation` (rows,n), dense, if the activation's backward or a low-rank update needs it; it must not be null
  // for GELU and the like in training, or if there are both an activation and a low-rank update. With an activation `out`
  // is dense.
  void forward(const Pass& pass, Rows rows, Matrix inp, Matrix out, Activation activation, Real* preactivation,
               const LoraBuffers& buffers);
  // The same for a batch of several adapters, whose updates replace the module's own. No preactivation is kept.
  void mixed_forward(const Pass& pass, Rows rows, Matrix inp, Matrix out, Activation activation);
  // Gradients of the weights.
  void backward_weight(const Pass& pass, Rows rows, Matrix dout, Matrix inp);
  // dinp = or += dout · W. If the input came from an activation, its backward as well, with what it `saved` (rows,k).
  void backward_input(const Pass& pass, Rows rows, Matrix dout, Matrix dinp, bool add,
                      Activation activation = Activation::kNone, const Real* saved = nullptr);
  // The same if the input is a parameter (rows,k): into its gradient.
  void backward_parameter(const Pass& pass, Rows rows, Matrix dout, Acc* gradient);
  // The low-rank update alone: out += ..., and its gradients with dinp += ... (dinp.data null: not wanted). See
  // lora_forward and lora_backward below for several.
  void lora_forward(const Pass& pass, Rows rows, Matrix inp, Matrix out, const LoraBuffers& buffers);
  void lora_backward(const Pass& pass, Rows rows, Matrix dout, Matrix inp, Matrix dinp, const LoraBuffers& buffers);

  // The same for a batch of several adapters.
  void mixed_lora_forward(const Pass& pass, Rows rows, Matrix inp, Matrix out) const;

 private:
  template <typename Is>
  bool in_any(Is is) const {
    return std::any_of(loras_.begin(), loras_.end(), [&](const auto& lora) { return lora && is(*lora); });
  }

  Parameter* weight_;
  Parameter* bias_;
  std::vector<std::optional<LowRank>> loras_;  // of each variant
};

// linear_backward_weight, at once or beside what follows.
void backward_weight_of(const Pass& pass, const LinearBackwardWeight& args);

// A linear module, the output that its low-rank update adds to or the gradient of that, and what the update writes.
struct LoraPart {
  const Linear* linear;
  Matrix out;
  LoraBuffers buffers;
};
// The low-rank updates, at most kMostLoraUpdates, of modules that share an input, in one operation; modules without one are
// skipped. `layernorm_follows`: a LayerNorm continues from dinp, and may be done in the same launch.
void lora_forward(const Pass& pass, Rows rows, Matrix inp, std::initializer_list<LoraPart> parts);
void lora_backward(const Pass& pass, Rows rows, Matrix inp, Matrix dinp, std::initializer_list<LoraPart> parts,
                   bool layernorm_follows = false);

}  // namespace bertune
