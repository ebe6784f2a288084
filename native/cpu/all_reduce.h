// Backend::all_reduce on the CPU.
#pragma once

#include "core/backend.h"
#include "cpu/context.h"

namespace bertune {

template <typename T>
void all_reduce(Context& context, Collective& ranks, const OptimizerSegment* segments, int count, T* loss /* (1) */);

}  // namespace bertune
