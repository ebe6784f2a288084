/*
 * A disk that fails on demand: preloaded into a process (LD_PRELOAD), it counts the calls that change files under one
 * directory, logs them, and at the n-th of them kills the process, fails the call, cuts it short or holds it up.
 *
 *   SHIM_UNDER   the directory, absolute and without links; calls elsewhere are passed on
 *   SHIM_CALLS   kinds that count, separated by commas: open write fsync rename mkdir unlink rmdir close truncate link
 *                flock. Defaults to all.
 *   SHIM_MATCH   part of a path that counts. Defaults to any.
 *   SHIM_AT      the call, counted from 1. Defaults to none.
 *   SHIM_MORE    how many calls after it are treated likewise. Defaults to 0.
 *   SHIM_DO      kill-before, kill-after, kill-half (of a write), short, delay, int, term (a signal to the process, then
 *                delay), or the name of an error
 *   SHIM_DELAY   milliseconds
 *   SHIM_CONTROL file of 56 bytes that says the same while the process runs: SHIM_AT, SHIM_MORE and how many calls were
 *                counted, as 64-bit integers, then SHIM_DO, ended by a zero byte
 *   SHIM_LOG     file for one line a call: number, kind, result or -errno, size, path, second path, separated by tabs
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

typedef struct {
  long at, more;
  atomic_long counted;
  char action[32];
} Control;

static const char *under, *calls, *match;
static long delay;
static int log_fd = -1;
static Control own;
static Control *control = &own;

/* libc's syscall(), which is stood in for below like everything else. */
static long (*kernel)(long, ...);

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

static long number(const char *name) {
  const char *value = getenv(name);
  return value ? atol(value) : 0;
}

__attribute__((constructor)) static void start(void) {
  kernel = (long (*)(long, ...))real("syscall");
  under = getenv("SHIM_UNDER");
  calls = getenv("SHIM_CALLS");
  match = getenv("SHIM_MATCH");
  const char *action = getenv("SHIM_DO");
  if (action) strncpy(own.action, action, sizeof own.action - 1);
  own.at = number("SHIM_AT");
  own.more = number("SHIM_MORE");
  delay = number("SHIM_DELAY");
  const char *log = getenv("SHIM_LOG");
  const char *shared = getenv("SHIM_CONTROL");
  if (shared) {
    int fd = (int)kernel(SYS_openat, (long)AT_FDCWD, shared, (long)O_RDWR | O_CLOEXEC, 0L);
    void *mapped = mmap(NULL, sizeof own, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped != MAP_FAILED) control = mapped;
    kernel(SYS_close, (long)fd);
  }
  if (log) log_fd = (int)kernel(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
}

static const struct {
  const char *name;
  int code;
} ERRORS[] = {{"EIO", EIO},     {"ENOSPC", ENOSPC}, {"EROFS", EROFS}, {"EDQUOT", EDQUOT}, {"EACCES", EACCES},
              {"EINTR", EINTR}, {"EFBIG", EFBIG},   {"EMFILE", EMFILE}, {"ENOLCK", ENOLCK}};

static int error_code(void) {
  for (size_t i = 0; i < sizeof ERRORS / sizeof *ERRORS; i++) {
    if (strcmp(control->action, ERRORS[i].name) == 0) return ERRORS[i].code;
  }
  return 0;
}

static int is(const char *name) { return strcmp(control->action, name) == 0; }

static void pause_for(long milliseconds) {
  struct timespec left = {milliseconds / 1000, milliseconds % 1000 * 1000000};
  while (nanosleep(&left, &left) == -1 && errno == EINTR) {
  }
}

static void die(void) {
  kernel(SYS_kill, (long)getpid(), (long)SIGKILL);
  for (;;) pause_for(1000);
}

/* The whole path of a name, or "" where it does not lie under the directory. */
static void resolve_name(int directory, const char *name, char path[PATH_MAX]) {
  path[0] = 0;
  if (!under || !name) return;
  char base[PATH_MAX] = "";
  int through = -1, start = 0;
  if (sscanf(name, "/proc/self/fd/%d/%n", &through, &start) == 1 && start > 0) {
    directory = through;
    name += start;
  }
  if (name[0] != '/') {
    if (directory == AT_FDCWD) {
      if (!getcwd(base, sizeof base)) return;
    } else {
      char link[64];
      snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
      ssize_t length = readlink(link, base, sizeof base - 1);
      if (length < 0) return;
      base[length] = 0;
    }
  }
  if (snprintf(path, PATH_MAX, "%s%s%s", base, base[0] ? "/" : "", name) >= PATH_MAX) path[0] = 0;
  size_t length = strlen(under);
  if (strncmp(path, under, length) != 0 || (path[length] != 0 && path[length] != '/')) path[0] = 0;
}

static void resolve_fd(int fd, char path[PATH_MAX]) {
  char link[64], target[PATH_MAX];
  path[0] = 0;
  if (!under || fd < 0) return;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, target, sizeof target - 1);
  if (length <= 0 || target[0] != '/') return;
  target[length] = 0;
  resolve_name(AT_FDCWD, target, path);
}

static int counts(const char *kind, const char *path, const char *second) {
  if (!path[0] && !(second && second[0])) return 0;
  if (match && !strstr(path, match) && !(second && strstr(second, match))) return 0;
  if (!calls || !calls[0]) return 1;
  size_t length = strlen(kind);
  for (const char *found = calls; (found = strstr(found, kind)); found++) {
    if ((found == calls || found[-1] == ',') && (found[length] == 0 || found[length] == ',')) return 1;
  }
  return 0;
}

/* One call: its number, 0 where it does not count, and whether it is one that something is done to. */
typedef struct {
  long n;
  int struck;
} Call;

static Call count(const char *kind, const char *path, const char *second) {
  Call call = {0, 0};
  if (!counts(kind, path, second)) return call;
  call.n = atomic_fetch_add(&control->counted, 1) + 1;
  call.struck = control->at > 0 && call.n >= control->at && call.n <= control->at + control->more;
  return call;
}

static void record(Call call, const char *kind, long result, int error, long size, const char *path,
                   const char *second) {
  if (log_fd < 0 || (!path[0] && !(second && second[0]))) return;
  char line[2 * PATH_MAX + 128];
  int length = snprintf(line, sizeof line, "%ld\t%s\t%ld\t%ld\t%s\t%s\n", call.n, kind, result < 0 ? -(long)error : result,
                        size, path, second ? second : "");
  kernel(SYS_write, (long)log_fd, line, (long)length);
}

/* What is done before the call. Returns the error it is to fail with, or 0. */
static int before(Call call) {
  if (!call.struck) return 0;
  if (is("kill-before")) die();
  if (is("int")) kernel(SYS_kill, (long)getpid(), (long)SIGINT);
  if (is("term")) kernel(SYS_kill, (long)getpid(), (long)SIGTERM);
  if (is("int") || is("term") || is("delay")) pause_for(delay);
  return error_code();
}

static void after(Call call) {
  if (call.struck && (is("kill-after") || is("kill-half"))) die();
}

/* How many of a write's bytes are to be written. */
static size_t cut(Call call, size_t size) {
  return call.struck && (is("short") || is("kill-half")) && size > 1 ? size / 2 : size;
}

/* Counts, strikes, carries out and logs one call; `expression` is the call itself. */
#define CARRY_OUT(type, kind, path, second, size, expression)                                                     \
  Call call = count(kind, path, second);                                                                          \
  int fault = before(call);                                                                                       \
  type result = fault ? -1 : (expression);                                                                        \
  int error = fault ? fault : errno;                                                                              \
  record(call, kind, (long)result, error, (long)(size), path, second);                                            \
  after(call);                                                                                                    \
  errno = error;                                                                                                  \
  return result

static int opened(int directory, const char *name, int flags, mode_t mode) {
  if (!kernel) start();
  char path[PATH_MAX] = "";
  if (flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)) resolve_name(directory, name, path);
  CARRY_OUT(int, "open", path, NULL, flags & O_CREAT ? 1 : 0,
            (int)kernel(SYS_openat, (long)directory, name, (long)flags, (long)mode));
}

#define MODE(flags)                                  \
  mode_t mode = 0;                                   \
  if ((flags) & (O_CREAT | O_TMPFILE)) {             \
    va_list rest;                                    \
    va_start(rest, flags);                           \
    mode = va_arg(rest, mode_t);                     \
    va_end(rest);                                    \
  }

int open(const char *name, int flags, ...) { MODE(flags) return opened(AT_FDCWD, name, flags, mode); }
int open64(const char *name, int flags, ...) { MODE(flags) return opened(AT_FDCWD, name, flags, mode); }
int openat(int directory, const char *name, int flags, ...) { MODE(flags) return opened(directory, name, flags, mode); }
int openat64(int directory, const char *name, int flags, ...) { MODE(flags) return opened(directory, name, flags, mode); }
int creat(const char *name, mode_t mode) { return opened(AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, mode); }

ssize_t write(int fd, const void *data, size_t size) {
  char path[PATH_MAX];
  resolve_fd(fd, path);
  CARRY_OUT(ssize_t, "write", path, NULL, size, REAL(write)(fd, data, cut(call, size)));
}

static ssize_t written_at(int fd, const void *data, size_t size, off64_t offset) {
  char path[PATH_MAX];
  resolve_fd(fd, path);
  CARRY_OUT(ssize_t, "write", path, NULL, size, REAL(pwrite64)(fd, data, cut(call, size), offset));
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) { return written_at(fd, data, size, offset); }
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) { return written_at(fd, data, size, offset); }

/* Of several buffers a short write is the first half of the first. */
ssize_t writev(int fd, const struct iovec *parts, int count_of_parts) {
  char path[PATH_MAX];
  resolve_fd(fd, path);
  size_t first = count_of_parts > 0 ? parts[0].iov_len : 0;
  CARRY_OUT(ssize_t, "write", path, NULL, first,
            cut(call, first) == first ? REAL(writev)(fd, parts, count_of_parts)
                                      : REAL(write)(fd, parts[0].iov_base, cut(call, first)));
}

static ssize_t gathered_at(int fd, const struct iovec *parts, int count_of_parts, off64_t offset) {
  char path[PATH_MAX];
  resolve_fd(fd, path);
  size_t first = count_of_parts > 0 ? parts[0].iov_len : 0;
  CARRY_OUT(ssize_t, "write", path, NULL, first,
            cut(call, first) == first ? REAL(pwritev64)(fd, parts, count_of_parts, offset)
                                      : REAL(pwrite64)(fd, parts[0].iov_base, cut(call, first), offset));
}

ssize_t pwritev(int fd, const struct iovec *parts, int n, off_t offset) { return gathered_at(fd, parts, n, offset); }
ssize_t pwritev64(int fd, const struct iovec *parts, int n, off64_t offset) { return gathered_at(fd, parts, n, offset); }

ssize_t sendfile64(int out, int in, off64_t *offset, size_t size) {
  static ssize_t (*real_sendfile)(int, int, off64_t *, size_t);
  if (!real_sendfile) real_sendfile = (ssize_t(*)(int, int, off64_t *, size_t))real("sendfile64");
  char path[PATH_MAX];
  resolve_fd(out, path);
  CARRY_OUT(ssize_t, "write", path, NULL, size, real_sendfile(out, in, offset, cut(call, size)));
}

int fsync(int fd) {
  char path[PATH_MAX];
  resolve_fd(fd, path);
  CARRY_OUT(int, "fsync", path, NULL, 0, REAL(fsync)(fd));
}

int fdatasync(int fd) {
  char path[PATH_MAX];
  resolve_fd(fd, path);
  CARRY_OUT(int, "fsync", path, NULL, 0, REAL(fdatasync)(fd));
}

/* A file that is closed is closed, whatever close() says. */
static int closed(int fd) {
  if (!kernel) start();
  char path[PATH_MAX] = "";
  int flags = under ? fcntl(fd, F_GETFL) : 0;
  if (flags >= 0 && (flags & O_ACCMODE) != O_RDONLY) resolve_fd(fd, path);
  Call call = count("close", path, NULL);
  int fault = before(call);
  int result = (int)kernel(SYS_close, (long)fd);
  int error = fault ? fault : errno;
  if (fault) result = -1;
  record(call, "close", result, error, 0, path, NULL);
  after(call);
  errno = error;
  return result;
}

int close(int fd) { return closed(fd); }

static ssize_t copied(int in, off64_t *from, int out, off64_t *to, size_t size, unsigned flags) {
  char path[PATH_MAX];
  resolve_fd(out, path);
  CARRY_OUT(ssize_t, "write", path, NULL, size,
            kernel(SYS_copy_file_range, (long)in, from, (long)out, to, cut(call, size), (long)flags));
}

ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t size, unsigned flags) {
  return copied(in, from, out, to, size, flags);
}

/* libuv closes and copies files by number. */
long syscall(long call_number, ...) {
  va_list rest;
  va_start(rest, call_number);
  long a = va_arg(rest, long), b = va_arg(rest, long), c = va_arg(rest, long);
  long d = va_arg(rest, long), e = va_arg(rest, long), f = va_arg(rest, long);
  va_end(rest);
  if (call_number == SYS_close) return closed((int)a);
  if (call_number == SYS_copy_file_range) return copied((int)a, (off64_t *)b, (int)c, (off64_t *)d, (size_t)e, (unsigned)f);
  if (!kernel) kernel = (long (*)(long, ...))real("syscall");
  return kernel(call_number, a, b, c, d, e, f);
}

static int renamed(int from_directory, const char *from, int to_directory, const char *to, unsigned flags) {
  char path[PATH_MAX], second[PATH_MAX];
  resolve_name(from_directory, from, path);
  resolve_name(to_directory, to, second);
  CARRY_OUT(int, "rename", path, second, flags,
            (int)kernel(SYS_renameat2, (long)from_directory, from, (long)to_directory, to, (long)flags));
}

int rename(const char *from, const char *to) { return renamed(AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat(int a, const char *from, int b, const char *to) { return renamed(a, from, b, to, 0); }
int renameat2(int a, const char *from, int b, const char *to, unsigned flags) { return renamed(a, from, b, to, flags); }

int link(const char *from, const char *to) {
  char path[PATH_MAX];
  resolve_name(AT_FDCWD, to, path);
  CARRY_OUT(int, "link", path, NULL, 0, REAL(link)(from, to));
}

int symlink(const char *from, const char *to) {
  char path[PATH_MAX];
  resolve_name(AT_FDCWD, to, path);
  CARRY_OUT(int, "link", path, NULL, 0, REAL(symlink)(from, to));
}

int mkdir(const char *name, mode_t mode) {
  char path[PATH_MAX];
  resolve_name(AT_FDCWD, name, path);
  CARRY_OUT(int, "mkdir", path, NULL, 0, REAL(mkdir)(name, mode));
}

int unlink(const char *name) {
  char path[PATH_MAX];
  resolve_name(AT_FDCWD, name, path);
  CARRY_OUT(int, "unlink", path, NULL, 0, REAL(unlink)(name));
}

int unlinkat(int directory, const char *name, int flags) {
  char path[PATH_MAX];
  resolve_name(directory, name, path);
  CARRY_OUT(int, flags & AT_REMOVEDIR ? "rmdir" : "unlink", path, NULL, 0, REAL(unlinkat)(directory, name, flags));
}

int rmdir(const char *name) {
  char path[PATH_MAX];
  resolve_name(AT_FDCWD, name, path);
  CARRY_OUT(int, "rmdir", path, NULL, 0, REAL(rmdir)(name));
}

int ftruncate(int fd, off_t size) {
  char path[PATH_MAX];
  resolve_fd(fd, path);
  CARRY_OUT(int, "truncate", path, NULL, size, (int)kernel(SYS_ftruncate, (long)fd, (long)size));
}

int ftruncate64(int fd, off64_t size) { return ftruncate(fd, size); }

int flock(int fd, int operation) {
  char path[PATH_MAX];
  resolve_fd(fd, path);
  CARRY_OUT(int, "flock", path, NULL, operation, (int)kernel(SYS_flock, (long)fd, (long)operation));
}
