// The backend that runs on the processor.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/backend.h"

namespace bertune {

// "fp32" and "fp64", the scalars of all operations; and if the processor has instructions for them, "bf16" and "int8",
// which are for products alone, with everything else in fp32. int8 is for prediction: gradients are those of fp32.
std::vector<std::string> cpu_precisions();
// The library that multiplies weights beside the BLAS, with the instruction set in use; empty if there is none.
std::string product_library();

// `threads` ≥ 1 includes the thread that calls the operations; only one thread may do so at a time. Throws
// INVALID_OPTION for a precision that is not among cpu_precisions.
std::unique_ptr<Backend> make_cpu_backend(const std::string& precision, int threads);

}  // namespace bertune
