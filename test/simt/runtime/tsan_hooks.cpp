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

#define READ_MODIFY_WRITE(bits, type, name)                              \
  type __tsan_atomic##bits##_##name(volatile type* p, type value, int) { \
    return __atomic_##name(p, value, __ATOMIC_SEQ_CST);                  \
  }
#define COMPARE_EXCHANGE(bits, type, strength, weak)                                                              \
  int __tsan_atomic##bits##_compare_exchange_##strength(volatile type* p, type* expected, type value, int, int) { \
    return __atomic_compare_exchange_n(p, expected, value, weak, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);             \
  }
#define ATOMIC_HOOKS(bits, type)                                                                                \
  type __tsan_atomic##bits##_load(const volatile type* p, int) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); } \
  void __tsan_atomic##bits##_store(volatile type* p, type value, int) {                                         \
    __atomic_store_n(p, value, __ATOMIC_SEQ_CST);                                                               \
  }                                                                                                             \
  type __tsan_atomic##bits##_exchange(volatile type* p, type value, int) {                                      \
    return __atomic_exchange_n(p, value, __ATOMIC_SEQ_CST);                                                     \
  }                                                                                                             \
  READ_MODIFY_WRITE(bits, type, fetch_add)                                                                      \
  READ_MODIFY_WRITE(bits, type, fetch_sub)                                                                      \
  READ_MODIFY_WRITE(bits, type, fetch_and)                                                                      \
  READ_MODIFY_WRITE(bits, type, fetch_or)                                                                       \
  READ_MODIFY_WRITE(bits, type, fetch_xor)                                                                      \
  COMPARE_EXCHANGE(bits, type, strong, false)                                                                   \
  COMPARE_EXCHANGE(bits, type, weak, true)

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

// Atomics of host code: of shared pointers, and of static variables that are initialized once.
ATOMIC_HOOKS(8, uint8_t)
ATOMIC_HOOKS(16, uint16_t)
ATOMIC_HOOKS(32, uint32_t)
ATOMIC_HOOKS(64, uint64_t)
void __tsan_atomic_thread_fence(int) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
void __tsan_atomic_signal_fence(int) {}

}  // extern "C"

#endif
