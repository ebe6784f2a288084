// Results that stay on the device until the host reads them.
#pragma once

#include "core/backend.h"
#include "cpu/context.h"

namespace bertune {

template <typename T>
void keep_step(Context& context, const KeepStep& args);
template <typename T>
void keep_logits(Context& context, const KeepLogits& args);

}  // namespace bertune
