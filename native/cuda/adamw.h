// The scalars of AdamW; adamw.cu has the formula.
#pragma once

namespace bertune::cuda {

// What does not change from step to step.
struct AdamwConstants {
  float log_beta1, log_beta2;
  float beta2, one_minus_beta1, one_minus_beta2;
  float eps, weight_decay, max_grad_norm;
};

// The formula's scalars, the same for all elements of a segment.
struct AdamwScalars {
  float clip, decay, beta2, one_minus_beta1, one_minus_beta2, root_correction2, eps, step_size;
};

}  // namespace bertune::cuda
