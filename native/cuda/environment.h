// Environment variables that switch parts of the backend off: see docs/guide/install.md.
#pragma once

#include <cstdlib>
#include <string>

#include "core/error.h"

namespace bertune::cuda {

// Whether the variable is set to the one value that it may have. Throws INVALID_OPTION if it has another.
inline bool is_set_to(const char* name, const char* value) {
  const char* set = std::getenv(name);
  if (set == nullptr || *set == '\0') return false;
  if (std::string(set) == value) return true;
  throw Error("INVALID_OPTION", std::string("Expected the environment variable ") + name + " to be \"" + value +
                                    "\" or not set but received \"" + set + "\"");
}

inline bool graphs_are_off() { return is_set_to("BERTUNE_CUDA_GRAPHS", "off"); }
inline bool overlap_is_off() { return is_set_to("BERTUNE_CUDA_PDL", "off"); }
inline bool streams_are_one() { return is_set_to("BERTUNE_CUDA_STREAMS", "one"); }
inline bool gemm_is_own() { return is_set_to("BERTUNE_GEMM", "own"); }
inline bool lazy_adamw_is_off() { return is_set_to("BERTUNE_LAZY_ADAMW", "off"); }
inline bool gemm_tuning_is_off() { return is_set_to("BERTUNE_GEMM_TUNING", "off"); }

}  // namespace bertune::cuda
