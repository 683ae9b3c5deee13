// A vfork child calls while its parent's memory is shared and its parent waits.
#include "programs/check.h"

int main() {
  const int fd = open_device();
  const int space = ioctl(fd, DUMMY_MM);
  volatile int child_space = 0;
  const pid_t child = vfork();
  if (child == 0) {
    child_space = ioctl(fd, DUMMY_MM);
    if (!echoes(fd)) _exit(1);
    close(fd);
    _exit(child_space == space ? 0 : 2);
  }
  CHECK(status_of(child) == 0);
  CHECK(child_space == space);
  CHECK(echoes(fd));
}
