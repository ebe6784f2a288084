#include "model/prefix.h"

namespace bertune {
namespace {

// Up to here the partials of all layers are worth their memory: those of 16 texts behind 20 virtual tokens of BERT-base
// take 24 MB.
constexpr int64_t kMostPartialBytes = 32 << 20;

}  // namespace

Prefix::Prefix(ParameterTable& parameters, const ModelConfig& model)
    : P_(model.P),
      C_(model.C),
      columns_(2 * model.L * model.C),
      embedding_(&parameters.at({Role::kPrompt}, Part::kWeight)) {
  if (!parameters.has({Role::kPromptDense})) return;
  first_ = std::make_unique<Linear>(parameters, Module{Role::kPromptDense}, LoraConfigs{}, 0);
  second_ = std::make_unique<Linear>(parameters, Module{Role::kPromptOutput}, LoraConfigs{}, 0);
}

bool Prefix::trains() const {
  return embedding_->trainable || (first_ && first_->trains()) || (second_ && second_->trains());
}

void Prefix::cut(Cutter& cutter, bool training) {
  fresh_ = false;
  buffers_.partials = nullptr;
  if (!first_) return;
  buffers_.hidden = cutter.real(static_cast<int64_t>(P_) * C_);
  buffers_.prompt = cutter.real(static_cast<int64_t>(P_) * columns_);
  if (!training || !trains()) return;
  buffers_.dprompt = cutter.acc(static_cast<int64_t>(P_) * columns_);
  buffers_.dprompt_real = cutter.real(static_cast<int64_t>(P_) * columns_);
  buffers_.dhidden = cutter.real(static_cast<int64_t>(P_) * C_);
}

bool Prefix::sums_together(const Backend& backend, int B) const {
  return backend.sums_together() && static_cast<int64_t>(B) * P_ * columns_ * backend.acc_size() <= kMostPartialBytes;
}

void Prefix::cut_partials(Cutter& cutter, const Backend& backend, int B) {
  most_sequences_ = B;
  if (!trains()) return;
  const int64_t columns = sums_together(backend, B) ? columns_ : 2 * C_;
  buffers_.partials = cutter.acc(B * P_ * columns);
}

void Prefix::forward(const Pass& pass) {
  if (!first_) return;
  const Matrix hidden{buffers_.hidden, C_};
  first_->forward(pass, rows(), {embedding_->weight, C_}, hidden, Activation::kTanh, nullptr, {});
  second_->forward(pass, rows(), hidden, {buffers_.prompt, columns_}, Activation::kNone, nullptr, {});
}

void Prefix::refresh(const Pass& pass) {
  if (fresh_) return;
  forward(pass);
  fresh_ = true;
}

void Prefix::backward(const Pass& pass) {
  if (!trains()) return;
  Backend& backend = pass.backend;
  if (sums_together(backend, most_sequences_)) {
    backend.sum_prefix_partials({.L = columns_ / (2 * C_),
                                 .P = P_,
                                 .C = C_,
                                 .accumulate = !first_ && pass.accumulate,
                                 .partials = buffers_.partials,
                                 .dprefix = gradient(),
                                 .dprefix_real = buffers_.dprompt_real});
  } else if (first_) {
    backend.cast_to_real({static_cast<int64_t>(P_) * columns_, buffers_.dprompt, buffers_.dprompt_real});
  }
  if (!first_) return;
  const Matrix hidden{buffers_.hidden, C_}, dhidden{buffers_.dhidden, C_};
  const Matrix dprompt{buffers_.dprompt_real, columns_};
  second_->backward_weight(pass, rows(), dprompt, hidden);
  if (!embedding_->trainable && !first_->trains()) return;
  second_->backward_input(pass, rows(), dprompt, dhidden, false, Activation::kTanh, buffers_.hidden);
  first_->backward_weight(pass, rows(), dhidden, {embedding_->weight, C_});
  if (embedding_->trainable) first_->backward_parameter(pass, rows(), dhidden, embedding_->grad);
}

const Real* Prefix::prompt() const { return first_ ? buffers_.prompt : embedding_->weight; }

PrefixView view_prompt(const Backend& backend, const Real* prompt, int P, int L, int C, int layer) {
  const int64_t start = 2LL * layer * C;
  PrefixView view;
  view.P = P;
  view.stride = 2 * L * C;
  view.key = offset(backend, prompt, start);
  view.value = offset(backend, prompt, start + C);
  return view;
}

PrefixView Prefix::view(const Pass& pass, int layer) const {
  const Backend& backend = pass.backend;
  const int64_t start = 2LL * layer * C_;
  PrefixView view = view_prompt(backend, prompt(), P_, columns_ / (2 * C_), C_, layer);
  if (pass.training && trains()) {
    view.accumulate = !first_ && pass.accumulate;
    view.partials = buffers_.partials;
    if (sums_together(backend, most_sequences_)) {
      view.partials = offset(backend, view.partials, int64_t{layer} * pass.batch.B * P_ * 2 * C_);
    } else if (Acc* dprompt = gradient()) {
      view.dkey = offset(backend, dprompt, start);
      view.dvalue = offset(backend, dprompt, start + C_);
    }
  }
  return view;
}

}  // namespace bertune
