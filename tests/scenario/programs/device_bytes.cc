// read and write of a device go to the machine, at an offset or at the file's
// position; vectors and bad buffers as the kernel has them.
#include "programs/check.h"

int main() {
  const int fd = open_device();
  CHECK(pwrite(fd, "0123456789", 10, 0) == 10);
  char text[16] = {};
  CHECK(pread(fd, text, 10, 0) == 10 && memcmp(text, "0123456789", 10) == 0);
  CHECK(read(fd, text, 3) == 3 && memcmp(text, "012", 3) == 0);
  CHECK(read(fd, text, 2) == 2 && memcmp(text, "34", 2) == 0);
  CHECK(write(fd, "X", 1) == 1);
  iovec parts[2] = {{text, 1}, {text + 1, 2}};
  CHECK(preadv(fd, parts, 2, 4) == 3 && memcmp(text, "4X6", 3) == 0);
  CHECK_ERRNO(pread(fd, nullptr, 4, 0), EFAULT);
  CHECK_ERRNO(pread(fd, text, 4, -1), EINVAL);
  CHECK(pread(fd, text, 4, 1 << 20) == 0);
  static char large[200000];
  CHECK(pread(fd, large, sizeof(large), 0) == 65536);
}
