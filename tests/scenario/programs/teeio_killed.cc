// When teeio is killed, the program's calls fail and nothing hangs.
// stderr: Killed|^$|.*
#include "programs/check.h"

int main() {
  const int fd = open_device();
  CHECK(echoes(fd));
  const pid_t teeio = getppid();
  CHECK(kill(teeio, SIGKILL) == 0);
  while (getppid() == teeio) {
  }
  CHECK_ERRNO(ioctl(fd, DUMMY_SERIAL), ENOSYS);
  CHECK_ERRNO(open(DUMMY_DEVICE, O_RDWR), ENOSYS);
  // Standard output is among the numbers that are trapped: say it by a socket
  // call's sibling that is not.
  const char text[] = "outlived\n";
  iovec part = {const_cast<char*>(text), sizeof(text) - 1};
  _exit(vmsplice(1, &part, 1, 0) == sizeof(text) - 1 ? 0 : 1);
}
