// The backend that runs on the processor.
#pragma once

#include <memory>

#include "core/backend.h"

namespace bertune {

// Real and Acc are float, or double to check gradients. `threads` ≥ 1 counts the thread that calls the operations,
// which is to be one and the same at a time.
std::unique_ptr<Backend> make_cpu_backend_float(int threads);
std::unique_ptr<Backend> make_cpu_backend_double(int threads);

}  // namespace bertune
