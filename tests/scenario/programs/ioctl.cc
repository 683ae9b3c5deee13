// An ioctl reaches the machine, copies in and out; bad pointers are EFAULT,
// unknown commands ENOTTY, a closed number EBADF.
#include "programs/check.h"

int main() {
  const int fd = open_device();
  CHECK(fd >= 768);
  CHECK(echoes(fd));
  CHECK_ERRNO(ioctl(fd, DUMMY_ECHO, nullptr), EFAULT);
  CHECK_ERRNO(ioctl(fd, DUMMY_ECHO, reinterpret_cast<void*>(-4096L)), EFAULT);
  void* read_only = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK_ERRNO(ioctl(fd, DUMMY_ECHO, read_only), EFAULT);
  CHECK_ERRNO(ioctl(fd, _IO(';', 99), 0), ENOTTY);
  CHECK_ERRNO(ioctl(0, DUMMY_ECHO, 0), ENOTTY);
  CHECK(close(fd) == 0);
  CHECK_ERRNO(ioctl(fd, DUMMY_ECHO, 0), EBADF);
  CHECK_ERRNO(close(fd), EBADF);
}
