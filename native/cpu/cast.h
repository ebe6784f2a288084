// Between the compute scalar and the statistics' scalar. On the CPU they are one type, so a cast is a copy or a sum.
#pragma once

#include "core/backend.h"
#include "cpu/context.h"

namespace bertune {

template <typename T>
void cast_to_real(Context& context, const CastToReal& args);
template <typename T>
void cast_to_acc(Context& context, const CastToAcc& args);

}  // namespace bertune
