// Results that stay on the device until the host reads them.
#include <algorithm>

#include "cpu/operations.h"
#include "cpu/scalar.h"

namespace bertune {

template <typename T>
void keep_step(Context& context, const KeepStep& args) {
  const int32_t slot = context.step.slot;
  int32_t right = 0;
  for (int b = 0; context.step.counted != 0 && b < context.step.loss_B; ++b) {
    if (args.predictions != nullptr) right += args.predictions[b] == context.batch.labels[b];
    if (args.right != nullptr) right += args.right[b];
  }
  T& loss = scalars<T>(args.losses)[slot];
  loss = (args.add ? loss : T(0)) + static_cast<T>(context.step.share * args.scale) * *scalars<T>(args.loss);
  args.correct[slot] = (args.add ? args.correct[slot] : 0) + right;
  if (args.norm != nullptr) scalars<T>(args.norms)[slot] = *scalars<T>(args.norm);
}

template <typename T>
void keep_logits(Context& context, const KeepLogits& args) {
  const StepState& step = context.step;
  const size_t NC = args.NC;
  std::copy_n(scalars<T>(args.logits), step.B * NC, scalars<T>(step.kept_logits) + step.order_begin * NC);
}

template void keep_step<float>(Context&, const KeepStep&);
template void keep_step<double>(Context&, const KeepStep&);
template void keep_logits<float>(Context&, const KeepLogits&);
template void keep_logits<double>(Context&, const KeepLogits&);

}  // namespace bertune
