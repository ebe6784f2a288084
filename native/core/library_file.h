#pragma once

namespace bertune {

// Whether a file, open for reading from its start, is a complete shared library: loading one that was cut short would end the
// process with SIGBUS. Compares the header with the length. True if the platform's format is not known.
bool is_whole_library(int file);

}  // namespace bertune
