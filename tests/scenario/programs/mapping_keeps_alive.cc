// A mapping holds the file after its last descriptor is closed.
#include "programs/check.h"

int main() {
  const int watch = open_device();
  const int fd = open_device();
  CHECK_ERRNO(reinterpret_cast<long>(mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, 0)), EINVAL);
  void* at = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, DUMMY_BAR_OFFSET);
  CHECK(at != MAP_FAILED);
  CHECK(close(fd) == 0);
  CHECK(ioctl(watch, DUMMY_RELEASED) == 0);
  *static_cast<volatile char*>(at) = 1;
  CHECK(munmap(at, 4096) == 0);
  CHECK(ioctl(watch, DUMMY_RELEASED) == 1);
}
