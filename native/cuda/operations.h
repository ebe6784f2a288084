// The operations of core/backend.h as kernels; T is float or bf16. Each is defined in the file of its name or group.
#pragma once

#include "cuda/context.h"

namespace bertune::cuda {

#define BERTUNE_DECLARE(name, Arguments) \
  template <typename T>                  \
  void name(Context& context, const Arguments& args);
BERTUNE_OPERATIONS(BERTUNE_DECLARE)
#undef BERTUNE_DECLARE

}  // namespace bertune::cuda
