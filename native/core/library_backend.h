// A backend in a library: every call goes through the library's table, and failures come back as errors.
#pragma once

#include <memory>
#include <string>

#include "core/library.h"

namespace bertune {

// For the library's device of that number. Throws what the library reports. The table stays valid for the life of the process.
std::unique_ptr<Backend> make_library_backend(const LibraryTable& table, int ordinal, const std::string& precision);

// Throws if the failure says so.
void throw_failure(const LibraryFailure& failure);

}  // namespace bertune
