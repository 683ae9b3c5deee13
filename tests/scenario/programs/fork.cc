// A child has the same open file; it lives until the child has closed it too.
#include "programs/check.h"

int main() {
  const int watch = open_device();
  const int fd = open_device();
  int ready[2];
  int go[2];
  char byte = 0;
  CHECK(pipe(ready) == 0 && pipe(go) == 0);
  const pid_t child = fork();
  if (child == 0) {
    close(go[1]);
    CHECK(echoes(fd));
    CHECK(write(ready[1], &byte, 1) == 1);
    CHECK(read(go[0], &byte, 1) == 0);
    CHECK(echoes(fd));
    _exit(7);
  }
  CHECK(read(ready[0], &byte, 1) == 1);
  CHECK(close(fd) == 0);
  CHECK_ERRNO(ioctl(fd, DUMMY_SERIAL), EBADF);
  CHECK(ioctl(watch, DUMMY_RELEASED) == 0);
  close(go[1]);
  CHECK(status_of(child) == 7);
  CHECK(ioctl(watch, DUMMY_RELEASED) == 1);
}
