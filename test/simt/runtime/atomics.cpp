// What atomics and fences need beside the operation itself, which simt_emulated.h has.
#include "race.h"
#include "scheduler.h"

namespace simt {

void thread_fence() { race_fence(*current_fiber); }

void atomic_access(const volatile void* pointer, size_t bytes) {
  if (reinterpret_cast<uintptr_t>(pointer) % bytes) device_fail("misaligned atomic");
  race_atomic(*current_fiber, pointer, bytes, __builtin_return_address(0));
}

}  // namespace simt
