// A close_range() up to the last number, under way or carried out in another thread or process
// that makes no other call, takes no number from who opens a device.
#include <linux/close_range.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "programs/check.h"

static int told[2];

/// Says through a pipe, which teeio does not see, that all is closed; then stands still.
static void* close_all(void*) {
  CHECK(syscall(SYS_close_range, 800, ~0U, 0) == 0);
  CHECK(syscall(SYS_close_range, 768, ~0U, CLOSE_RANGE_CLOEXEC) == 0);
  CHECK(syscall(SYS_close_range, 768, ~0U, 0) == 0);
  CHECK(write(told[1], "x", 1) == 1);
  for (;;) pause();
}

static void open_beside() {
  char x = 0;
  CHECK(read(told[0], &x, 1) == 1);
  const int fds[] = {open_device(), open_device(), open_device()};
  for (const int fd : fds) {
    CHECK(echoes(fd));
    CHECK(close(fd) == 0);
  }
}

int main() {
  CHECK(pipe(told) == 0 && told[0] > 2 && told[1] > 2);
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
    close_all(nullptr);
  }
  open_beside();
  CHECK(kill(child, SIGKILL) == 0 && waitpid(child, nullptr, 0) == child);
  pthread_t thread;
  CHECK(pthread_create(&thread, nullptr, close_all, nullptr) == 0);
  open_beside();
}
