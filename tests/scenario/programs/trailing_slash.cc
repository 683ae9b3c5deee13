// "link/" and "link/." are what the link leads to (path_resolution(7)).
#include <dirent.h>

#include "programs/check.h"

int main() {
  struct stat info;
  CHECK(lstat(DUMMY_FUNCTION, &info) == 0 && S_ISLNK(info.st_mode));
  CHECK(lstat(DUMMY_FUNCTION "/", &info) == 0 && S_ISDIR(info.st_mode));
  CHECK(lstat(DUMMY_FUNCTION "/.", &info) == 0 && S_ISDIR(info.st_mode));
  CHECK(lstat(DUMMY_FUNCTION "/tsm/..", &info) == 0 && S_ISDIR(info.st_mode));
  struct statx extended;
  CHECK(statx(AT_FDCWD, DUMMY_FUNCTION "//", AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &extended) ==
        0);
  CHECK(S_ISDIR(extended.stx_mode));
  const int fd = open(DUMMY_FUNCTION "/", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  CHECK(fd >= 0 && fstat(fd, &info) == 0 && S_ISDIR(info.st_mode));
  char text[8];
  CHECK_ERRNO(readlink(DUMMY_FUNCTION "/", text, sizeof(text)), EINVAL);
  CHECK_ERRNO(lstat(DUMMY_FUNCTION "/vendor/", &info), ENOTDIR);
  CHECK_ERRNO(open(DUMMY_FUNCTION "/vendor/.", O_RDONLY), ENOTDIR);
  CHECK_ERRNO(lstat("/sys/bus/pci/nothing/", &info), ENOENT);
  char link[] = "/tmp/teeio-scenario-XXXXXX";
  CHECK(mkdtemp(link) != nullptr && rmdir(link) == 0);
  CHECK(symlink(DUMMY_FUNCTION, link) == 0);
  char below[64];
  snprintf(below, sizeof(below), "%s/", link);
  const int followed = lstat(below, &info) == 0 && S_ISDIR(info.st_mode);
  const int itself = lstat(link, &info) == 0 && S_ISLNK(info.st_mode);
  CHECK(unlink(link) == 0 && followed && itself);
}
