// What the parts of the emulator share: the lock, the settings and the errors.
#pragma once

#include <mutex>
#include <string>

#include "simt_runtime.h"

namespace simt {

// Held by every call of the runtime API, so launches from several threads of a process run one after the other.
// Recursive: a task of a stream may call the API again.
std::recursive_mutex& mutex();
using Lock = std::lock_guard<std::recursive_mutex>;

void read_environment();

// The device that the calling thread's calls go to.
int& current_device();

// Of the devices, and what kernels are compiled for: 90 is 9.0.
int capability();

// An error of the device sticks: every later call returns it, as with CUDA.
cudaError_t sticky_error();
void clear_sticky_error();

// Notes an error that does not stick, for cudaGetLastError, and returns it.
cudaError_t remember(cudaError_t error);

// The first failure of the work that runs is kept, printed and made sticky.
void report_failure(const std::string& text);
const char* stored_report();

}  // namespace simt
