// Where the program's descriptors cannot be duplicated: eventfds, memfds,
// duplicates and attributes still work.
#include <sys/eventfd.h>

#include "programs/check.h"

int main() {
  const int fd = open_device();
  const int irq = eventfd(2, EFD_NONBLOCK);
  CHECK(irq >= 0 && irq < 768 && fcntl(irq, F_GETFD) == 0);
  const int other = eventfd(0, EFD_CLOEXEC);
  CHECK(fcntl(other, F_GETFD) == FD_CLOEXEC);
  eventfd_t count = 0;
  CHECK(ioctl(fd, DUMMY_SIGNAL, irq) == 0 && eventfd_read(irq, &count) == 0 && count == 3);
  CHECK_ERRNO(eventfd_read(irq, &count), EAGAIN);
  CHECK_ERRNO(ioctl(fd, DUMMY_SIGNAL, 0), EINVAL);
  const int memfd = memfd_create("guest", 0);
  CHECK(ftruncate(memfd, 4096) == 0 && ioctl(fd, DUMMY_MEMFD, memfd) == 0);
  CHECK(ioctl(fd, DUMMY_DMA) == 0);
  unsigned char byte = 0;
  CHECK(pread(memfd, &byte, 1, 4095) == 1 && byte == 0xd0);
  const int copy = dup(fd);
  CHECK(copy >= 0 && close(fd) == 0 && echoes(copy));
  const int connect = open(DUMMY_FUNCTION "/tsm/connect", O_WRONLY);
  CHECK(dup2(connect, 1) == 1 && write(1, "tsm0\n", 5) == 5);
  CHECK(ioctl(copy, DUMMY_RELEASED) == 0 && close(copy) == 0);
  CHECK(ioctl(open_device(), DUMMY_RELEASED) == 1);
}
