#include "model/linear.h"

#include "core/error.h"
#include "model/row_sums.h"
#include "model/weight_gradients.h"

namespace bertune {
namespace {

std::optional<LowRank> find_low_rank(ParameterTable& parameters, const Module& module,
                                     const std::optional<LoraConfig>& lora, uint32_t site, int variant) {
  if (!parameters.has(module, Part::kLoraA, variant)) return std::nullopt;
  const LoraConfig::Update* update = lora ? lora->find(module) : nullptr;
  if (!update) throw Error("INVALID_OPTION", "Expected a scaling for the low-rank update of the " + describe(module));
  Parameter& a = parameters.at(module, Part::kLoraA, variant);
  Parameter& b = parameters.at(module, Part::kLoraB, variant);
  return LowRank{&a, &b, static_cast<int>(a.shape[0]), update->scaling, lora->dropout, site, update->magnitude};
}

}  // namespace

Linear::Linear(ParameterTable& parameters, const Module& module, const LoraConfigs& loras, uint32_t lora_site,
               int variant)
    : weight_(&parameters.at(module, Part::kWeight, variant)), bias_(&parameters.at(module, Part::kBias, variant)) {
  for (size_t v = 0; v < loras.size(); ++v) {
    loras_.push_back(find_low_rank(parameters, module, loras[v], lora_site, static_cast<int>(v)));
  }
}

LoraSaved Linear::cut_saved(Cutter& cutter, int rows, bool training, bool keeps_h, Real* shared) const {
  LoraSaved saved;
  for (size_t v = 0; v < loras_.size(); ++v) {
    const std::optional<LowRank>& lora = loras_[v];
    if (!lora) continue;
    saved.h[v] = keeps_h ? cutter.real(static_cast<int64_t>(rows) * lora->r) : shared;
    if (training && lora->magnitude) saved.base = cutter.real(static_cast<int64_t>(rows) * n());
  }
  return saved;
}

void Linear::forward(const Pass& pass, Rows rows, Matrix inp, Matrix out, Activation activation, Real* preactivation,
                     const LoraBuffers& buffers) {
  if (pass.mix) return mixed_forward(pass, rows, inp, out, activation);
  const bool activate_later = has_lora() && activation != Activation::kNone;
  const Matrix base_out = activate_later ? Matrix{preactivation, n()} : out;
  pass.backend.linear_forward({.rows = rows,
                               .n = n(),
                               .k = k(),
                               .inp_stride = inp.stride,
                               .out_stride = base_out.stride,
                               .activation = activate_later ? Activation::kNone : activation,
                               .inp = inp.data,
                               .weight = weight_->weight,
                               .bias = bias_->weight,
                               .preactivation = activate_later ? nullptr : preactivation,
                               .out = base_out.data});
  if (!has_lora()) return;
  lora_forward(pass, rows, inp, base_out, buffers);
  if (activate_later) pass.backend.activation_forward({rows, n(), activation, preactivation, out.data});
}

void Linear::mixed_forward(const Pass& pass, Rows rows, Matrix inp, Matrix out, Activation activation) {
  const bool activate_later = activation != Activation::kNone && pass.mix->updates_of(weight_) != nullptr;
  pass.backend.linear_forward({.rows = rows,
                               .n = n(),
                               .k = k(),
                               .inp_stride = inp.stride,
                               .out_stride = out.stride,
                               .activation = activate_later ? Activation::kNone : activation,
                               .inp = inp.data,
                               .weight = weight_->weight,
                               .bias = bias_->weight,
                               .preactivation = nullptr,
                               .out = out.data});
  mixed_lora_forward(pass, rows, inp, out);
  if (activate_later) pass.backend.activation_forward({rows, n(), activation, out.data, out.data});
}

void Linear::backward_weight(const Pass& pass, Rows rows, Matrix dout, Matrix inp) {
  if (!base_trains()) return;
  const bool later = pass.row_sums != nullptr;
  if (later) {
    pass.row_sums->add({.rows = rows,
                        .n = n(),
                        .dout_stride = dout.stride,
                        .dout = dout.data,
                        .sum = nullptr,
                        .mean = nullptr,
                        .rstd = nullptr,
                        .dgamma = nullptr,
                        .dbeta = bias_->grad});
    if (!weight_->grad) return;
  }
  backward_weight_of(pass, {.rows = rows,
                            .n = n(),
                            .k = k(),
                            .dout_stride = dout.stride,
                            .inp_stride = inp.stride,
                            .accumulate = pass.accumulate,
                            .dout = dout.data,
                            .inp = inp.data,
                            .dweight = weight_->grad,
                            .dbias = later ? nullptr : bias_->grad});
}

void backward_weight_of(const Pass& pass, const LinearBackwardWeight& args) {
  if (pass.weight_gradients && args.dweight) return pass.weight_gradients->run(args);
  pass.backend.linear_backward_weight(args);
}

void Linear::backward_input(const Pass& pass, Rows rows, Matrix dout, Matrix dinp, bool add, Activation activation,
                            const Real* saved) {
  pass.backend.linear_backward_input({.rows = rows,
                                      .n = n(),
                                      .k = k(),
                                      .dout_stride = dout.stride,
                                      .dinp_stride = dinp.stride,
                                      .add_to_dinp = add,
                                      .activation = activation,
                                      .dout = dout.data,
                                      .weight = weight_->weight,
                                      .saved = saved,
                                      .dinp = dinp.data,
                                      .gradient = nullptr});
}

void Linear::backward_parameter(const Pass& pass, Rows rows, Matrix dout, Acc* gradient) {
  pass.backend.linear_backward_input({.rows = rows,
                                      .n = n(),
                                      .k = k(),
                                      .dout_stride = dout.stride,
                                      .dinp_stride = k(),
                                      .add_to_dinp = pass.accumulate,
                                      .activation = Activation::kNone,
                                      .dout = dout.data,
                                      .weight = weight_->weight,
                                      .saved = nullptr,
                                      .dinp = nullptr,
                                      .gradient = gradient});
}

}  // namespace bertune
