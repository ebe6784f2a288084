// How the sanitizers behave in these programs: their exit status must not look like a result, and fibers hide the
// memory that they hold from the search for leaks.
#pragma once

#define SIMT_EXPORTED extern "C" __attribute__((visibility("default")))

SIMT_EXPORTED const char* __asan_default_options() { return "detect_leaks=0:exitcode=99"; }
SIMT_EXPORTED const char* __ubsan_default_options() { return "exitcode=99"; }
