#pragma once
/* What every scenario program uses. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dummy/dummy.h"

/* Leaves with 1 and says where, unless `condition` holds. */
#define CHECK(condition)                                                                    \
  do {                                                                                      \
    errno = 0;                                                                              \
    if (!(condition)) {                                                                     \
      fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #condition, strerror(errno)); \
      _exit(1);                                                                             \
    }                                                                                       \
  } while (0)

/* Checks that `call` fails with `error`. */
#define CHECK_ERRNO(call, error) CHECK((call) == -1 && errno == (error))

static inline int open_device(void) {
  const int fd = open(DUMMY_DEVICE, O_RDWR | O_CLOEXEC);
  CHECK(fd >= 0);
  return fd;
}

/* Whether `fd` reaches the machine. */
static inline int echoes(int fd) {
  struct dummy_pair pair = {41, 0};
  return ioctl(fd, DUMMY_ECHO, &pair) == 0 && pair.out == 42;
}

/* Waits until `request` answers `value`; no longer than there is a machine that answers. */
static inline void wait_until(int fd, unsigned long request, int value) {
  for (;;) {
    const int now = ioctl(fd, request);
    CHECK(now >= 0);
    if (now == value) return;
    sched_yield();
  }
}

static inline int status_of(pid_t pid) {
  int status = 0;
  CHECK(waitpid(pid, &status, 0) == pid);
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
