// Address space, which a process may have too little of (ulimit -v).
#pragma once

#include <cstddef>

namespace bertune {

// Whether the process has a limit of address space.
bool address_space_is_limited();

// Whether so many more bytes can be mapped, and enough beside them for what else the process does: JavaScript's engine
// aborts where it cannot grow. True where there is no limit.
bool has_address_space(size_t bytes);

}  // namespace bertune
