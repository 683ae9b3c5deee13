// Nothing here needs a privilege: the same as another user, if we can become one.
// --inh-caps=-all --bounding-set=-all @RUN@ -- @PROGRAM@; else exec @RUN@ -- @PROGRAM@; fi
#include <sys/eventfd.h>

#include "programs/check.h"

int main() {
  const int fd = open_device();
  CHECK(echoes(fd));
  const int irq = eventfd(0, 0);
  eventfd_t count = 0;
  CHECK(ioctl(fd, DUMMY_SIGNAL, irq) == 0 && eventfd_read(irq, &count) == 0 && count == 1);
  const int copy = dup(fd);
  CHECK(copy >= 768 && close(fd) == 0 && echoes(copy));
  struct stat info;
  CHECK(stat(DUMMY_FUNCTION "/vendor", &info) == 0);
}
