// A large read through a low duplicate is the one thing that no filter sees:
// it is reported.
// stderr: a read of /dev/vfio/devices/vfio0 went past teeio
#include "programs/check.h"

int main() {
  const int fd = open_device();
  CHECK(dup2(fd, 3) == 3);
  CHECK(ioctl(fd, DUMMY_REVOKE) == 0);
  void* map = mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, DUMMY_BAR_OFFSET);
  CHECK(map != MAP_FAILED);
  char bytes[64];
  CHECK(read(3, bytes, sizeof(bytes)) == sizeof(bytes));
  CHECK(echoes(fd));
}
