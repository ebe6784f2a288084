// AdamW's arithmetic on elements, for all code that updates them; adamw.cpp has the formula.
#pragma once

#include <cstdint>

namespace bertune {

// The formula's scalars, the same for all elements of a segment.
template <typename T>
struct AdamwScalars {
  T clip, decay, beta2, one_minus_beta1, one_minus_beta2, root_correction2, eps, step_size;
};

// One update of `count` elements. An element's bits do not depend on which elements are updated with it.
template <typename T>
void adamw_update(const AdamwScalars<T>& scalars, int64_t count, const T* grad, T* p, T* m, T* v);

}  // namespace bertune
