// Permissions, owner, times and extended attributes of the tree's files, as kernfs and devtmpfs
// have them: what is set is kept, and shown by every way of looking.
// stderr: setxattr.*refused with EOPNOTSUPP
#include <sys/xattr.h>

#include "programs/check.h"

int main() {
  const char* attribute = DUMMY_FUNCTION "/reset";
  struct stat info;
  CHECK(stat(DUMMY_DEVICE, &info) == 0);
  const mode_t before = info.st_mode;
  CHECK(chmod(DUMMY_DEVICE, 0606) == 0);
  CHECK(stat(DUMMY_DEVICE, &info) == 0);
  CHECK((info.st_mode & 07777) == 0606);
  CHECK((info.st_mode & S_IFMT) == (before & S_IFMT));
  const int device = open(DUMMY_DEVICE, O_RDWR);
  CHECK(device >= 0);
  CHECK(fstat(device, &info) == 0);
  CHECK((info.st_mode & 07777) == 0606);
  CHECK(fchmod(device, 0660) == 0);
  CHECK(stat(DUMMY_DEVICE, &info) == 0);
  CHECK((info.st_mode & 07777) == 0660);
  char self[64];
  snprintf(self, sizeof(self), "/proc/self/fd/%d", device);
  CHECK(chmod(self, 0640) == 0);
  CHECK(stat(DUMMY_DEVICE, &info) == 0);
  CHECK((info.st_mode & 07777) == 0640);
  CHECK(fchown(device, getuid(), getgid()) == 0);
  CHECK(fchmodat(AT_FDCWD, DUMMY_DEVICE, before & 07777, 0) == 0);
  CHECK(stat(DUMMY_DEVICE, &info) == 0);
  CHECK(info.st_mode == before);

  CHECK(chown(DUMMY_DEVICE, getuid(), getgid()) == 0);
  CHECK(lchown(attribute, static_cast<uid_t>(-1), getgid()) == 0);
  CHECK_ERRNO(chown("/dev/vfio/none", 0, 0), ENOENT);

  const struct timespec times[2] = {{.tv_sec = 1000, .tv_nsec = 5}, {.tv_sec = 2000, .tv_nsec = 6}};
  CHECK(utimensat(AT_FDCWD, attribute, times, 0) == 0);
  CHECK(stat(attribute, &info) == 0);
  CHECK(info.st_mtim.tv_sec == 2000 && info.st_mtim.tv_nsec == 6);
  CHECK(utimensat(AT_FDCWD, attribute, nullptr, 0) == 0);
  CHECK(stat(attribute, &info) == 0);
  CHECK(info.st_mtim.tv_sec > 2000);

  char value[8];
  CHECK_ERRNO(getxattr(attribute, "user.x", value, sizeof(value)), ENODATA);
  CHECK(listxattr(attribute, value, sizeof(value)) == 0);
  CHECK_ERRNO(setxattr(attribute, "user.x", "1", 1, 0), EOPNOTSUPP);

  // A link of /proc is one, whatever it leads to.
  char link[64];
  snprintf(link, sizeof(link), "/proc/self/fd/%d", device);
  CHECK(lstat(link, &info) == 0);
  CHECK(S_ISLNK(info.st_mode));
  CHECK(stat(link, &info) == 0);
  CHECK(S_ISCHR(info.st_mode));
}
