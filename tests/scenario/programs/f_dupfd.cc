// F_DUPFD keeps to our numbers and to the least number asked for.
#include "programs/check.h"

int main() {
  const int fd = open_device();
  const int low = fcntl(fd, F_DUPFD, 10);
  const int high = fcntl(fd, F_DUPFD_CLOEXEC, 900);
  CHECK(low >= 768 && echoes(low) && fcntl(low, F_GETFD) == 0);
  CHECK(high >= 900 && echoes(high) && fcntl(high, F_GETFD) == FD_CLOEXEC);
  CHECK_ERRNO(fcntl(fd, F_DUPFD, 1 << 30), EINVAL);
  const int foreign = fcntl(0, F_DUPFD, 10);
  CHECK(foreign >= 10 && foreign < 768);
}
