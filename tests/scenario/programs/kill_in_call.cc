// A process killed inside a waiting call is gone at once, and so are its files.
#include "programs/check.h"

int main() {
  const int watch = open_device();
  const pid_t child = fork();
  if (child == 0) {
    const int fd = ioctl(open_device(), DUMMY_MAKE);
    ioctl(fd, DUMMY_BLOCK);
    _exit(1);
  }
  wait_until(watch, DUMMY_BLOCKED, 1);
  CHECK(kill(child, SIGKILL) == 0);
  CHECK(status_of(child) == 128 + SIGKILL);
  CHECK(ioctl(watch, DUMMY_OPEN) == 1);
  wait_until(watch, DUMMY_BLOCKED, 0);
}
