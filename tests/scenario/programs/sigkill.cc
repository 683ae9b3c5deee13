// A killed process gives everything back before its parent learns of its end.
#include "programs/check.h"

int main() {
  const int watch = open_device();
  int ready[2];
  char byte = 0;
  CHECK(pipe(ready) == 0);
  const pid_t child = fork();
  if (child == 0) {
    const int fd = open_device();
    CHECK(dup2(fd, 99) == 99 && dup(fd) >= 768);
    CHECK(mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, DUMMY_BAR_OFFSET) != MAP_FAILED);
    CHECK(write(ready[1], &byte, 1) == 1);
    for (;;) pause();
  }
  CHECK(read(ready[0], &byte, 1) == 1);
  CHECK(ioctl(watch, DUMMY_OPEN) == 2);
  CHECK(kill(child, SIGKILL) == 0);
  CHECK(status_of(child) == 128 + SIGKILL);
  CHECK(ioctl(watch, DUMMY_OPEN) == 1);
}
