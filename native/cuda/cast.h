// Conversions between the scalars of the device, and between them and the host's element types.
#pragma once

#include "cuda/context.h"

namespace bertune::cuda {

template <typename T>
void cast_to_real(Context& context, const CastToReal& args);
template <typename T>
void cast_to_acc(Context& context, const CastToAcc& args);

}  // namespace bertune::cuda
