// Switching between stacks: what makes a CUDA thread a fiber.
#pragma once

#include <cstddef>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace simt {

#if defined(__SANITIZE_ADDRESS__)
constexpr size_t kStackBytes = 256 * 1024;
#else
constexpr size_t kStackBytes = 64 * 1024;
#endif

// A stack below which a page can not be touched, so that an overflow ends the process.
struct Stack {
  char* bottom;
  size_t index;
};

// Where a fiber, or the scheduler, goes on once it is switched to.
struct Context {
#if defined(__x86_64__)
  void* stack_pointer = nullptr;
#else
  ucontext_t machine;
#endif
#if defined(__SANITIZE_ADDRESS__)
  void* fake_stack = nullptr;
#endif
};

// The stack used last is handed out first: it is the one in the cache.
Stack* take_stack();
void give_stack_back(Stack* stack);
void give_all_stacks_back();
bool is_on_a_stack(const void* pointer);

// Makes `context` start `entry` on the stack. `entry` does not return.
void prepare(Context& context, Stack* stack, void (*entry)());

// `to_stack` is null where `to` is the scheduler. `ends`: nobody comes back to `from`.
void switch_context(Context& from, Context& to, const Stack* to_stack, bool ends);

// For AddressSanitizer. To be called first in an entry; and before the first switch of a launch, which may be on
// another thread of the process than the last one.
void context_entered();
void context_forget_scheduler();

}  // namespace simt
