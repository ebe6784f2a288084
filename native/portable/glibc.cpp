// Linked into what is published, so that it runs on GNU C libraries older than the one it is built on.
//
// A symbol of the C library has versions, and the linker takes the newest: pthread_create@GLIBC_2.34, which is what GLIBC_2.2.5 had
// been, in another file. What is defined here goes before the C library's own in everything that is linked in, OpenBLAS, the CUDA
// runtime and the C++ library included, and leads to the oldest version. scripts/package/portable.js checks what is left.
#include <features.h>
#if defined(__GLIBC__)

#if defined(__x86_64__)
#define OLDEST "GLIBC_2.2.5"
#define SECOND "GLIBC_2.3.4"
#define JUMP "jmp "
#define LINKED "@PLT"
#else
#define OLDEST "GLIBC_2.17"
#define SECOND "GLIBC_2.17"
#define JUMP "b "
#define LINKED ""
#endif

// Defines a function that jumps to a version of the one of its name, in a section of its own, which is left out if nothing
// calls it.
#define FORWARD(name, version)                                                                    \
  __asm__(".symver old_" #name ", " #name "@" version "\n.section .text." #name                   \
          ",\"ax\",%progbits\n"                                                                   \
          ".globl " #name "\n.type " #name ", %function\n" #name ":\n\t" JUMP "old_" #name LINKED \
          "\n"                                                                                    \
          ".size " #name ", . - " #name "\n.text");

// Since 2.29 these set no errno by themselves.
FORWARD(exp, OLDEST)
FORWARD(log, OLDEST)
FORWARD(log2, OLDEST)
FORWARD(pow, OLDEST)

// Since 2.34 these are in libc.so.6; before, in files of their own, which Node.js has loaded but for librt.
FORWARD(dladdr, OLDEST)
FORWARD(dlclose, OLDEST)
FORWARD(dlerror, OLDEST)
FORWARD(dlmopen, SECOND)
FORWARD(dlopen, OLDEST)
FORWARD(dlsym, OLDEST)
FORWARD(dlvsym, OLDEST)
FORWARD(__pthread_key_create, OLDEST)
FORWARD(pthread_condattr_setpshared, OLDEST)
FORWARD(pthread_create, OLDEST)
FORWARD(pthread_detach, OLDEST)
FORWARD(pthread_getaffinity_np, SECOND)
FORWARD(pthread_getspecific, OLDEST)
FORWARD(pthread_join, OLDEST)
FORWARD(pthread_key_create, OLDEST)
FORWARD(pthread_key_delete, OLDEST)
FORWARD(pthread_kill, OLDEST)
FORWARD(pthread_mutex_trylock, OLDEST)
FORWARD(pthread_mutexattr_destroy, OLDEST)
FORWARD(pthread_mutexattr_init, OLDEST)
FORWARD(pthread_mutexattr_setpshared, OLDEST)
FORWARD(pthread_mutexattr_settype, OLDEST)
FORWARD(pthread_once, OLDEST)
FORWARD(pthread_rwlock_destroy, OLDEST)
FORWARD(pthread_rwlock_init, OLDEST)
FORWARD(pthread_rwlock_rdlock, OLDEST)
FORWARD(pthread_rwlock_timedrdlock, OLDEST)
FORWARD(pthread_rwlock_timedwrlock, OLDEST)
FORWARD(pthread_rwlock_tryrdlock, OLDEST)
FORWARD(pthread_rwlock_trywrlock, OLDEST)
FORWARD(pthread_rwlock_unlock, OLDEST)
FORWARD(pthread_rwlock_wrlock, OLDEST)
FORWARD(pthread_rwlockattr_destroy, OLDEST)
FORWARD(pthread_rwlockattr_init, OLDEST)
FORWARD(pthread_rwlockattr_setpshared, OLDEST)
FORWARD(pthread_setaffinity_np, SECOND)
FORWARD(pthread_setspecific, OLDEST)
FORWARD(pthread_spin_destroy, OLDEST)
FORWARD(pthread_spin_init, OLDEST)
FORWARD(pthread_spin_lock, OLDEST)
FORWARD(pthread_spin_trylock, OLDEST)
FORWARD(pthread_spin_unlock, OLDEST)
FORWARD(sem_destroy, OLDEST)
FORWARD(sem_init, OLDEST)
FORWARD(sem_post, OLDEST)
FORWARD(sem_timedwait, OLDEST)
FORWARD(sem_trywait, OLDEST)
FORWARD(sem_wait, OLDEST)
FORWARD(shm_open, OLDEST)
FORWARD(shm_unlink, OLDEST)

// Since 2.33; before, calls of them were compiled to these, whose first argument names the layout of `status`.
extern "C" int __xstat(int layout, const char* file, void* status);
extern "C" int __fxstat(int layout, int file, void* status);
extern "C" int __lxstat(int layout, const char* file, void* status);
#if defined(__x86_64__)
constexpr int kLayout = 1;
#else
constexpr int kLayout = 0;
#endif
extern "C" int stat(const char* file, void* status) { return __xstat(kLayout, file, status); }
extern "C" int fstat(int file, void* status) { return __fxstat(kLayout, file, status); }
extern "C" int fstat64(int file, void* status) { return __fxstat(kLayout, file, status); }
extern "C" int lstat(const char* file, void* status) { return __lxstat(kLayout, file, status); }

// Since 2.32, where it may say that shared pointers need no atomic counts. Here there are always threads.
extern "C" char __libc_single_threaded;
char __libc_single_threaded = 0;

#endif
