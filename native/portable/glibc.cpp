// Linked into the published addon, so that it runs on GNU C libraries that are older than the one it is built on.
//
// A symbol of the C library has versions, and the linker takes the newest: pthread_create@GLIBC_2.34, which is what GLIBC_2.2.5 had
// been, in another file. What is defined here goes before the C library's own in everything that is linked in, OpenBLAS and the C++
// library included, and calls the oldest version. scripts/package/portable.js checks what is left.
#include <features.h>
#if defined(__GLIBC__)

#if defined(__x86_64__)
#define OLDEST "GLIBC_2.2.5"
#define AFFINITY "GLIBC_2.3.4"
#else
#define OLDEST "GLIBC_2.17"
#define AFFINITY "GLIBC_2.17"
#endif

// A function `name` that calls that of a version.
#define CALL(version, result, name, parameters, ...)    \
  extern "C" result old_##name parameters;              \
  __asm__(".symver old_" #name ", " #name "@" version); \
  extern "C" result name parameters { return old_##name(__VA_ARGS__); }

using size = __SIZE_TYPE__;

// Since 2.29 these set no errno by themselves.
CALL(OLDEST, double, exp, (double x), x)
CALL(OLDEST, double, log, (double x), x)
CALL(OLDEST, double, log2, (double x), x)
CALL(OLDEST, double, pow, (double x, double y), x, y)

// Since 2.34 these are in libc.so.6; before, in files of their own, which Node.js has loaded.
CALL(OLDEST, int, dladdr, (const void* address, void* info), address, info)
CALL(OLDEST, char*, dlerror, (), )
CALL(OLDEST, void*, dlopen, (const char* file, int mode), file, mode)
CALL(OLDEST, void*, dlsym, (void* handle, const char* name), handle, name)
CALL(OLDEST, int, pthread_create, (unsigned long* thread, const void* attributes, void* (*run)(void*), void* data),
     thread, attributes, run, data)
CALL(OLDEST, int, pthread_join, (unsigned long thread, void** result), thread, result)
CALL(OLDEST, int, pthread_once, (int* control, void (*run)()), control, run)
CALL(OLDEST, int, pthread_rwlock_init, (void* lock, const void* attributes), lock, attributes)
CALL(OLDEST, int, pthread_rwlock_destroy, (void* lock), lock)
CALL(OLDEST, int, pthread_rwlock_rdlock, (void* lock), lock)
CALL(OLDEST, int, pthread_rwlock_wrlock, (void* lock), lock)
CALL(OLDEST, int, pthread_rwlock_unlock, (void* lock), lock)
CALL(OLDEST, int, __pthread_key_create, (unsigned* key, void (*end)(void*)), key, end)
CALL(AFFINITY, int, pthread_getaffinity_np, (unsigned long thread, size bytes, void* set), thread, bytes, set)
CALL(AFFINITY, int, pthread_setaffinity_np, (unsigned long thread, size bytes, const void* set), thread, bytes, set)

// Since 2.33; before, calls of them were compiled to these, whose first argument names the layout of `status`.
extern "C" int __fxstat(int layout, int file, void* status);
extern "C" int __lxstat(int layout, const char* file, void* status);
#if defined(__x86_64__)
constexpr int kLayout = 1;
#else
constexpr int kLayout = 0;
#endif
extern "C" int fstat(int file, void* status) { return __fxstat(kLayout, file, status); }
extern "C" int fstat64(int file, void* status) { return __fxstat(kLayout, file, status); }
extern "C" int lstat(const char* file, void* status) { return __lxstat(kLayout, file, status); }

// Since 2.32, where it may say that shared pointers need no atomic counts. Here there are always threads.
extern "C" char __libc_single_threaded;
char __libc_single_threaded = 0;

#endif
