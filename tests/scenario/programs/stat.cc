// To the program a device is a character device, by path and by descriptor.
#include <sys/sysmacros.h>

#include "programs/check.h"

int main() {
  const int fd = open_device();
  struct stat by_fd;
  struct stat by_path;
  struct statx extended;
  CHECK(fstat(fd, &by_fd) == 0 && stat(DUMMY_DEVICE, &by_path) == 0);
  CHECK(statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &extended) == 0);
  CHECK(S_ISCHR(by_fd.st_mode) && S_ISCHR(by_path.st_mode) && S_ISCHR(extended.stx_mode));
  CHECK(by_fd.st_rdev == makedev(511, 0) && by_path.st_rdev == by_fd.st_rdev);
  CHECK(extended.stx_rdev_major == 511);
  CHECK_ERRNO(ftruncate(fd, 0), EINVAL);
  CHECK(stat(DUMMY_FUNCTION "/vendor", &by_path) == 0);
  CHECK(S_ISREG(by_path.st_mode) && by_path.st_size == 4096);
  CHECK(lstat(DUMMY_FUNCTION, &by_path) == 0 && S_ISLNK(by_path.st_mode));
  CHECK_ERRNO(stat("/sys/bus/pci/nothing", &by_path), ENOENT);
  CHECK_ERRNO(stat(DUMMY_FUNCTION "/vendor/x", &by_path), ENOTDIR);
  CHECK(access(DUMMY_FUNCTION "/vendor", R_OK) == 0);
  CHECK_ERRNO(access("/dev/vfio/vfio9", F_OK), ENOENT);
}
