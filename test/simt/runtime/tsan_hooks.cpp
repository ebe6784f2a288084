// The functions that code compiled with -fsanitize=thread calls before each access to memory. The race build links
// these in place of libtsan. Host code beside the kernels is compiled the same way; for it they return at once.
#if defined(SIMT_RACE)

#include "race.h"

using simt::AccessKind;
using simt::race_kernel_access;

#define CALLER __builtin_return_address(0)
#define HOOKS(bytes)                                                                                            \
  void __tsan_read##bytes(void* p) { race_kernel_access(p, bytes, AccessKind::kRead, CALLER, bytes); }          \
  void __tsan_write##bytes(void* p) { race_kernel_access(p, bytes, AccessKind::kWrite, CALLER, bytes); }        \
  void __tsan_unaligned_read##bytes(void* p) { race_kernel_access(p, bytes, AccessKind::kRead, CALLER, 1); }    \
  void __tsan_unaligned_write##bytes(void* p) { race_kernel_access(p, bytes, AccessKind::kWrite, CALLER, 1); }  \
  void __tsan_volatile_read##bytes(void* p) { race_kernel_access(p, bytes, AccessKind::kRead, CALLER, bytes); } \
  void __tsan_volatile_write##bytes(void* p) { race_kernel_access(p, bytes, AccessKind::kWrite, CALLER, bytes); }

extern "C" {

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}

HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)

void __tsan_read_range(void* p, size_t bytes) { race_kernel_access(p, bytes, AccessKind::kRead, CALLER, 1); }
void __tsan_write_range(void* p, size_t bytes) { race_kernel_access(p, bytes, AccessKind::kWrite, CALLER, 1); }

}  // extern "C"

#endif
