// A classifier on a LayerNorm, its loss, and the way back to the ReLU in front of them: the operations that it is made
// of, one by one.
#include "cpu/layernorm.h"
#include "cpu/operations.h"
#include "cpu/scalar.h"

namespace bertune {

template <typename T>
void normed_classifier(Context& context, const NormedClassifier& args) {
  const Rows rows{RowKind::kSequences, context.batch.B};
  const int k = args.k, NC = args.NC;
  dropout_residual_layernorm_forward<T>(context, {.rows = rows,
                                                  .C = k,
                                                  .eps = args.eps,
                                                  .dropout = args.dropout,
                                                  .inp = args.inp,
                                                  .residual = nullptr,
                                                  .gamma = args.gamma,
                                                  .beta = args.beta,
                                                  .sum = args.sum,
                                                  .mean = args.mean,
                                                  .rstd = args.rstd,
                                                  .out = args.normed,
                                                  .first = nullptr});
  linear_forward<T>(context, {.rows = rows,
                              .n = NC,
                              .k = k,
                              .inp_stride = k,
                              .out_stride = NC,
                              .activation = Activation::kNone,
                              .inp = args.normed,
                              .weight = args.weight,
                              .bias = args.bias,
                              .preactivation = nullptr,
                              .out = args.logits});
  if (args.class_loss != nullptr) {
    cross_entropy<T>(context, *args.class_loss);
  } else if (args.label_loss != nullptr) {
    binary_cross_entropy<T>(context, *args.label_loss);
  } else {
    mean_squared_error<T>(context, *args.number_loss);
  }
  linear_backward_input<T>(context, {.rows = rows,
                                     .n = NC,
                                     .k = k,
                                     .dout_stride = NC,
                                     .dinp_stride = k,
                                     .add_to_dinp = false,
                                     .activation = Activation::kNone,
                                     .dout = args.dlogits,
                                     .weight = args.weight,
                                     .saved = nullptr,
                                     .dinp = args.dnormed,
                                     .gradient = nullptr});
  const T *sum = scalars<T>(args.sum), *gamma = scalars<T>(args.gamma), *dnormed = scalars<T>(args.dnormed);
  const T *mean = scalars<T>(args.mean), *rstd = scalars<T>(args.rstd);
  T* dinp = scalars<T>(args.dinp);
  T* no_gradient = nullptr;
  context.for_rows(rows, [&](int, Range range) {
    for (int row = range.begin; row < range.end; ++row) {
      const size_t at = static_cast<size_t>(row) * k;
      layernorm_row_backward(k, dnormed + at, sum + at, mean[row], rstd[row], gamma, dinp + at, no_gradient,
                             no_gradient);
    }
  });
  activation_backward<T>(context, {rows, k, Activation::kRelu, args.inp, args.dinp, args.dinp, args.dropout});
}

template void normed_classifier<float>(Context&, const NormedClassifier&);
template void normed_classifier<double>(Context&, const NormedClassifier&);

}  // namespace bertune
