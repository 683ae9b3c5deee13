// RLIMIT_NOFILE holds for our numbers too: EMFILE, nothing lost, and a limit
// below our numbers still leaves the low ones.
#include <sys/resource.h>

#include "programs/check.h"

int main() {
  const int watch = open_device();
  rlimit limit = {};
  CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  limit.rlim_cur = static_cast<rlim_t>(watch) + 2;
  CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  const int last = open_device();
  CHECK_ERRNO(open(DUMMY_DEVICE, O_RDWR), EMFILE);
  CHECK_ERRNO(ioctl(watch, DUMMY_MAKE), EMFILE);
  CHECK_ERRNO(dup(watch), EMFILE);
  CHECK(ioctl(watch, DUMMY_OPEN) == 2);
  CHECK(close(last) == 0 && open_device() == last);
  limit.rlim_cur = 32;
  CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  int opened = 0;
  for (int low = 0; (low = open(DUMMY_DEVICE, O_RDWR)) >= 0; ++opened)
    CHECK(low < 32 && echoes(low));
  CHECK_ERRNO(open(DUMMY_DEVICE, O_RDWR), EMFILE);
  CHECK(ioctl(watch, DUMMY_OPEN) == 2 + opened);
}
