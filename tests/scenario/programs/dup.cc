// A duplicate is the same open file under another of our numbers; the file is
// released when the last of them is closed, not before.
#include "programs/check.h"

int main() {
  const int watch = open_device();
  const int fd = open_device();
  const int copy = dup(fd);
  CHECK(copy >= 768 && copy != fd);
  CHECK(ioctl(copy, DUMMY_SERIAL) == ioctl(fd, DUMMY_SERIAL));
  CHECK(fcntl(copy, F_GETFD) == 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
  CHECK(close(fd) == 0);
  CHECK(echoes(copy));
  CHECK(ioctl(watch, DUMMY_RELEASED) == 0);
  CHECK(close(copy) == 0);
  CHECK(ioctl(watch, DUMMY_RELEASED) == 1);
}
