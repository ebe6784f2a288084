// What attention takes.
#pragma once

#include "cuda/context.h"

namespace bertune::cuda {

// Head sizes up to this are taken.
constexpr int kMaxHeadSize = 128;

}  // namespace bertune::cuda
