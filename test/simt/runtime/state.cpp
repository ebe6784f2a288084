#include "state.h"

#include <cstdio>
#include <cstdlib>
#include <deque>

namespace simt {
namespace {

// Everything that lives as long as the process is allocated and never freed: threads may still be inside the emulator
// while the process ends.
struct State {
  std::recursive_mutex mutex;
  Config config;
  cudaError_t sticky = cudaSuccess;
  std::deque<std::string> reports;  // all of them: cudaGetErrorString hands out pointers
};

State& state() {
  static State& state = *new State;
  return state;
}

thread_local cudaError_t last_error = cudaSuccess;
thread_local int used_device = 0;

// One environment variable and what it said when it was last looked at.
struct Variable {
  const char* name;
  std::string seen;

  bool changed() {
    const char* value = getenv(name);
    const std::string now = value ? value : "";
    if (now == seen) return false;
    seen = now;
    return true;
  }
  long long number(long long unset) const { return seen.empty() ? unset : atoll(seen.c_str()); }
};

}  // namespace

std::recursive_mutex& mutex() { return state().mutex; }
Config& config() { return state().config; }
int& current_device() { return used_device; }

int capability() {
  const char* set = getenv("BERTUNE_EMULATED_CAPABILITY");
  return set && *set ? atoi(set) : 90;
}

void read_environment() {
  static Variable& memory = *new Variable{"BERTUNE_EMULATED_MEMORY", ""};
  static Variable& devices = *new Variable{"BERTUNE_EMULATED_DEVICES", ""};
  static Variable& seed = *new Variable{"BERTUNE_EMULATED_SEED", ""};
  static Variable& lazy = *new Variable{"BERTUNE_EMULATED_LAZY", ""};
  static Variable& failing = *new Variable{"BERTUNE_EMULATED_FAIL_ALLOCATION", ""};
  static Variable& graphs = *new Variable{"BERTUNE_EMULATED_FAIL_GRAPHS", ""};
  static Variable& list = *new Variable{"BERTUNE_EMULATED_LIST_GRAPHS", ""};
  const Config standard;
  Config& config = state().config;
  if (memory.changed()) config.memory_limit = static_cast<size_t>(memory.number(standard.memory_limit));
  if (devices.changed()) config.devices = static_cast<int>(devices.number(standard.devices));
  if (seed.changed()) config.seed = static_cast<uint64_t>(seed.number(static_cast<long long>(standard.seed)));
  if (lazy.changed()) {
    config.lazy_streams = !lazy.seen.empty() && lazy.seen != "0";
    config.branches = lazy.seen == "first"  ? Config::Branches::kFirst
                      : lazy.seen == "last" ? Config::Branches::kLast
                                            : Config::Branches::kAny;
  }
  if (graphs.changed()) config.fail_graphs = graphs.seen;
  if (list.changed()) config.list_graphs = list.seen;
  if (failing.changed()) config.fail_allocation = static_cast<long>(failing.number(standard.fail_allocation));
}

cudaError_t sticky_error() { return state().sticky; }
void clear_sticky_error() { state().sticky = cudaSuccess; }

cudaError_t remember(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

void report_failure(const std::string& text) {
  if (state().sticky != cudaSuccess) return;
  state().sticky = cudaErrorLaunchFailure;
  state().reports.push_back(text);
  if (!config().quiet) fprintf(stderr, "simt: %s\n", text.c_str());
}

const char* stored_report() { return state().reports.empty() ? "" : state().reports.back().c_str(); }
const char* last_report() { return stored_report(); }

void clear_report() {
  state().sticky = last_error = cudaSuccess;
  if (*stored_report()) state().reports.emplace_back();
}

const char* build_kind() {
#if defined(SIMT_RACE)
  return "race";
#elif defined(__SANITIZE_ADDRESS__)
  return "asan";
#else
  return "fast";
#endif
}

}  // namespace simt

inline namespace simt_cudart {

cudaError_t cudaGetLastError() {
  const cudaError_t error = cudaPeekAtLastError();
  simt::last_error = cudaSuccess;
  return error;
}

cudaError_t cudaPeekAtLastError() {
  const cudaError_t sticky = simt::sticky_error();
  return sticky != cudaSuccess ? sticky : simt::last_error;
}

const char* cudaGetErrorName(cudaError_t error) {
#define NAME(value) \
  case value:       \
    return #value
  switch (error) {
    NAME(cudaSuccess);
    NAME(cudaErrorInvalidValue);
    NAME(cudaErrorMemoryAllocation);
    NAME(cudaErrorInvalidConfiguration);
    NAME(cudaErrorInvalidDevicePointer);
    NAME(cudaErrorInvalidMemcpyDirection);
    NAME(cudaErrorInsufficientDriver);
    NAME(cudaErrorNoDevice);
    NAME(cudaErrorInvalidDevice);
    NAME(cudaErrorInvalidResourceHandle);
    NAME(cudaErrorNotReady);
    NAME(cudaErrorIllegalAddress);
    NAME(cudaErrorLaunchFailure);
    NAME(cudaErrorNotSupported);
    NAME(cudaErrorStreamCaptureUnsupported);
    NAME(cudaErrorStreamCaptureInvalidated);
    NAME(cudaErrorStreamCaptureMerge);
    NAME(cudaErrorStreamCaptureUnmatched);
    NAME(cudaErrorStreamCaptureUnjoined);
    NAME(cudaErrorStreamCaptureIsolation);
    NAME(cudaErrorStreamCaptureImplicit);
    NAME(cudaErrorCapturedEvent);
    NAME(cudaErrorStreamCaptureWrongThread);
    NAME(cudaErrorUnknown);
  }
#undef NAME
  return "cudaErrorUnknown";
}

const char* cudaGetErrorString(cudaError_t error) {
  const char* report = simt::stored_report();
  return error == cudaErrorLaunchFailure && *report ? report : cudaGetErrorName(error);
}

}  // namespace simt_cudart
