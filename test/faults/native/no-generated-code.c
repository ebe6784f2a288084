// A system on which no process makes memory executable, as SELinux and systemd's MemoryDenyWriteExecute can have it.
#define _GNU_SOURCE
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

int mprotect(void* address, size_t bytes, int protection) {
  if (protection & PROT_EXEC) {
    errno = EACCES;
    return -1;
  }
  return (int)syscall(SYS_mprotect, address, bytes, protection);
}
