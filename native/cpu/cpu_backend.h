// The backend that runs on the processor.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/backend.h"

namespace bertune {

// "fp32" and "fp64", the scalars of all operations; "bf16" and "int8", of products alone, everything between them being
// in fp32, where the processor has instructions for them. int8 is for prediction: gradients are those of fp32.
std::vector<std::string> cpu_precisions();
// The library that products of weights go to beside the BLAS, with the instruction set in use; empty where there is none.
std::string product_library();

// `threads` ≥ 1 counts the thread that calls the operations, which is to be one and the same at a time. Throws
// INVALID_OPTION for a precision that is not among cpu_precisions.
std::unique_ptr<Backend> make_cpu_backend(const std::string& precision, int threads);

}  // namespace bertune
