// The operations of core/backend.h on the CPU; T is float or double. Each is defined in the file of its name or group.
#pragma once

#include "cpu/context.h"

namespace bertune {

#define BERTUNE_DECLARE(name, Arguments) \
  template <typename T>                  \
  void name(Context& context, const Arguments& args);
BERTUNE_OPERATIONS(BERTUNE_DECLARE)
#undef BERTUNE_DECLARE

}  // namespace bertune
