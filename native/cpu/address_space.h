// Address space, which may be limited (ulimit -v).
#pragma once

#include <cstddef>

namespace bertune {

// Whether the process's address space is limited.
bool address_space_is_limited();

// Whether that many more bytes can be mapped and enough is left for the rest of the process: JavaScript's engine aborts if
// it cannot grow. True if there is no limit.
bool has_address_space(size_t bytes);

}  // namespace bertune
