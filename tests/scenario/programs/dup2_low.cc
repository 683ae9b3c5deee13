// dup2 to 3 makes an alias that the filter knows by its shape only.
#include "programs/check.h"

int main() {
  const int watch = open_device();
  const int fd = open_device();
  CHECK(dup2(fd, 3) == 3);
  CHECK(echoes(3));
  CHECK(close(fd) == 0);
  CHECK(echoes(3));
  char byte = 7;
  CHECK(pwrite(3, &byte, 1, 5) == 1);
  byte = 0;
  CHECK(pread(3, &byte, 1, 5) == 1 && byte == 7);
  void* bar = mmap(nullptr, 4096, PROT_READ, MAP_SHARED, 3, DUMMY_BAR_OFFSET);
  CHECK(bar != MAP_FAILED && munmap(bar, 4096) == 0);
  CHECK(dup3(fd, 3, 0) == -1);
  CHECK(ioctl(watch, DUMMY_RELEASED) == 0);
  CHECK(dup2(0, 3) == 3);
  CHECK(ioctl(watch, DUMMY_RELEASED) == 1);
}
