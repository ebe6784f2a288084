#include "context.h"

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace simt {
namespace {

constexpr size_t kPage = 4096;

// The stacks would all begin at the same place in a page, and their hot ends share a few lines of the cache; each
// starts a little lower than the one before, five lines of 64, round a page.
constexpr size_t kColour = 5 * 64;

struct Stacks {
  std::vector<Stack*> all;
  std::vector<Stack*> free;
};

Stacks& stacks() {
  static Stacks& stacks = *new Stacks;
  return stacks;
}

Stack* make_stack() {
  void* memory =
      mmap(nullptr, kPage + kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    perror("simt: mmap of a stack");
    abort();
  }
  mprotect(memory, kPage, PROT_NONE);
  auto* stack = new Stack{static_cast<char*>(memory) + kPage, stacks().all.size()};
  stacks().all.push_back(stack);
  return stack;
}

char* top(const Stack* stack) { return stack->bottom + kStackBytes - stack->index * kColour % kPage; }

}  // namespace

Stack* take_stack() {
  std::vector<Stack*>& free = stacks().free;
  if (free.empty()) return make_stack();
  Stack* stack = free.back();
  free.pop_back();
  return stack;
}

void give_stack_back(Stack* stack) { stacks().free.push_back(stack); }

void give_all_stacks_back() {
  stacks().free = stacks().all;
#if defined(__SANITIZE_ADDRESS__)
  // Frames that were left in the middle have marked their surroundings.
  for (const Stack* stack : stacks().all) __asan_unpoison_memory_region(stack->bottom, kStackBytes);
#endif
}

bool is_on_a_stack(const void* pointer) {
  for (const Stack* stack : stacks().all) {
    if (static_cast<size_t>(static_cast<const char*>(pointer) - stack->bottom) < kStackBytes) return true;
  }
  return false;
}

#if defined(__x86_64__)

// Saves the registers that a function has to keep on the old stack, and takes them from the new one.
extern "C" void simt_switch(void** save, void* to);
asm(R"(
.text
.globl simt_switch
.hidden simt_switch
.type simt_switch,@function
simt_switch:
  .cfi_startproc
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
  .cfi_endproc
.size simt_switch,.-simt_switch
)");

namespace {

void set_up(Context& context, Stack* stack, void (*entry)()) {
  constexpr int kSavedRegisters = 6;
  void** slot = reinterpret_cast<void**>(top(stack));
  *--slot = nullptr;  // where the entry would return to; leaves the stack 8 below a multiple of 16, as after a call
  *--slot = reinterpret_cast<void*>(entry);
  for (int i = 0; i < kSavedRegisters; ++i) *--slot = nullptr;
  context.stack_pointer = slot;
}

void switch_machine(Context& from, Context& to) { simt_switch(&from.stack_pointer, to.stack_pointer); }

}  // namespace

#else

namespace {

void set_up(Context& context, Stack* stack, void (*entry)()) {
  getcontext(&context.machine);
  context.machine.uc_stack.ss_sp = stack->bottom;
  context.machine.uc_stack.ss_size = static_cast<size_t>(top(stack) - stack->bottom);
  context.machine.uc_link = nullptr;
  makecontext(&context.machine, entry, 0);
}

void switch_machine(Context& from, Context& to) { swapcontext(&from.machine, &to.machine); }

}  // namespace

#endif

#if defined(__SANITIZE_ADDRESS__)

namespace {

const void* scheduler_bottom = nullptr;
size_t scheduler_size = 0;

}  // namespace

void context_forget_scheduler() { scheduler_bottom = nullptr; }

void context_entered() {
  const void* bottom;
  size_t size;
  __sanitizer_finish_switch_fiber(nullptr, &bottom, &size);
  if (scheduler_bottom) return;
  scheduler_bottom = bottom;  // the first fiber of a launch is entered from the scheduler
  scheduler_size = size;
}

void prepare(Context& context, Stack* stack, void (*entry)()) {
  __asan_unpoison_memory_region(stack->bottom, kStackBytes);
  context.fake_stack = nullptr;
  set_up(context, stack, entry);
}

void switch_context(Context& from, Context& to, const Stack* to_stack, bool ends) {
  __sanitizer_start_switch_fiber(ends ? nullptr : &from.fake_stack, to_stack ? to_stack->bottom : scheduler_bottom,
                                 to_stack ? kStackBytes : scheduler_size);
  switch_machine(from, to);
  __sanitizer_finish_switch_fiber(from.fake_stack, nullptr, nullptr);
}

#else

void context_forget_scheduler() {}
void context_entered() {}

void prepare(Context& context, Stack* stack, void (*entry)()) { set_up(context, stack, entry); }

void switch_context(Context& from, Context& to, const Stack*, bool) { switch_machine(from, to); }

#endif

}  // namespace simt
