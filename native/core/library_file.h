#pragma once

namespace bertune {

// Whether a shared library, open to be read from its start, is one and was not cut short: opening such a file would end the process
// with SIGBUS. Its header is held against its length. True where the platform's format is not known.
bool is_whole_library(int file);

}  // namespace bertune
