// close_range closes ours with the rest; its CLOEXEC form closes nothing.
#include <linux/close_range.h>

#include "programs/check.h"

int main() {
  const int a = open_device();
  const int b = open_device();
  CHECK(echoes(a) && echoes(b));
  CHECK(close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) == 0);
  CHECK(echoes(a) && echoes(b));
  CHECK(close_range(3, ~0U, 0) == 0);
  CHECK_ERRNO(ioctl(a, DUMMY_SERIAL), EBADF);
  CHECK_ERRNO(ioctl(b, DUMMY_SERIAL), EBADF);
  CHECK(ioctl(open_device(), DUMMY_OPEN) == 1);
}
