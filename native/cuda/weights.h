// How weights lie in device memory, and their conversion from and to the host's element types.
//
// In float a weight is one float. In bf16 a trainable weight is a bf16 value and, as its master, 16 more bits:
//   master value (a float) = bits (weight − (low >> 15)) << 16 | low        low: its lower half
// So the weight is the master value rounded to bf16 (halves upward), and the two together lose nothing compared with a
// float copy, which would take two bytes more.
#pragma once

#include "cuda/context.h"

namespace bertune::cuda {

// Host elements → weight, and master if it is not null and a different buffer.
template <typename T>
void write_weight(Context& context, Real* weight, Master* master, const void* host, Dtype dtype, int64_t count);
template <typename T>
void read_weight(Context& context, void* host, Dtype dtype, const Real* weight, const Master* master, int64_t count);

// Host elements ↔ device scalars, T or float. Waits until they have arrived.
template <typename Scalar>
void write_scalars(Context& context, Scalar* device, const void* host, Dtype dtype, int64_t count);
template <typename Scalar>
void read_scalars(Context& context, void* host, Dtype dtype, const Scalar* device, int64_t count);

}  // namespace bertune::cuda
