// Failures on demand, for tests of what comes after one.
#pragma once

namespace simt {

enum class Fault {
  kNone,
  kCall,        // of the runtime API: the n-th returns an error, which sticks
  kWork,        // kernels, copies, host tasks, those of graphs among them: the n-th is not done, and its error sticks
  kAllocation,  // of device or pinned memory: the n-th is refused, and no other
  kWait,        // of a stream for an event: the n-th is left out, and no other
  kCount
};

// Counts one of the kind, with mutex() held. True where it is the one to fail; except for an allocation and a wait
// its error sticks from then on.
bool fails_now(Fault kind);

// Whether work is done: no error sticks, and it is not its turn to fail.
bool device_works();

}  // namespace simt
