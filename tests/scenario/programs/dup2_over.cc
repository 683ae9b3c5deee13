// dup2 over one of our numbers closes what it was, and the number means the
// new file at once.
#include "programs/check.h"

int main() {
  const int watch = open_device();
  const int first = open_device();
  const int second = open_device();
  CHECK(echoes(first) && echoes(second));
  CHECK(dup2(second, first) == first);
  CHECK(ioctl(watch, DUMMY_RELEASED) == 1);
  CHECK(ioctl(first, DUMMY_SERIAL) == ioctl(second, DUMMY_SERIAL));
  CHECK(dup2(0, first) == first);
  CHECK_ERRNO(ioctl(first, DUMMY_SERIAL), ENOTTY);
  CHECK(echoes(second));
}
