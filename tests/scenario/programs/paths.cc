// However a path leads there, it leads there: "..", links, directory
// descriptors, /proc/self/fd.
#include "programs/check.h"

static int can_open(int dir, const char* path) {
  const int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
  char text[8] = {};
  const int right = fd >= 0 && read(fd, text, 7) == 7 && strcmp(text, "0x1af4\n") == 0;
  close(fd);
  return right;
}

int main() {
  CHECK(can_open(AT_FDCWD, DUMMY_FUNCTION "/vendor"));
  CHECK(can_open(AT_FDCWD, "/sys//bus/./pci/devices/0000:01:00.0/tsm/../vendor"));
  CHECK(can_open(AT_FDCWD, "/usr/../sys/devices/pci0000:00/0000:01:00.0/vendor"));
  CHECK(can_open(AT_FDCWD, "/proc/self/root/sys/bus/pci/devices/0000:01:00.0/vendor"));
  const int dir = open("/sys/bus/pci/devices", O_RDONLY | O_DIRECTORY);
  CHECK(can_open(dir, "0000:01:00.0/vendor"));
  CHECK(can_open(dir, "../devices/0000:01:00.0/../0000:01:00.0/vendor"));
  char link[] = "/tmp/teeio-scenario-XXXXXX";
  CHECK(mkdtemp(link) != nullptr && rmdir(link) == 0);
  CHECK(symlink(DUMMY_FUNCTION, link) == 0);
  char below[64];
  snprintf(below, sizeof(below), "%s/vendor", link);
  const int followed = can_open(AT_FDCWD, below);
  CHECK(unlink(link) == 0 && followed);
  char text[64] = {};
  CHECK(readlink(DUMMY_FUNCTION, text, sizeof(text)) == 40);
  CHECK(strcmp(text, "../../../devices/pci0000:00/0000:01:00.0") == 0);
  const int fd = open_device();
  char self[32];
  snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
  memset(text, 0, sizeof(text));
  CHECK(readlink(self, text, sizeof(text)) > 0 && strcmp(text, DUMMY_DEVICE) == 0);
  const int again = open(self, O_RDWR);
  CHECK(echoes(again) && ioctl(again, DUMMY_SERIAL) != ioctl(fd, DUMMY_SERIAL));
  CHECK_ERRNO(open(DUMMY_FUNCTION "/nothing", O_RDONLY), ENOENT);
  CHECK_ERRNO(open(DUMMY_FUNCTION "/nothing", O_RDWR | O_CREAT, 0600), EACCES);
  CHECK_ERRNO(open(DUMMY_FUNCTION, O_RDWR), EISDIR);
  CHECK_ERRNO(open(DUMMY_DEVICE, O_RDONLY | O_DIRECTORY), ENOTDIR);
  CHECK_ERRNO(open(DUMMY_DEVICE, O_RDONLY | O_CREAT | O_EXCL, 0600), EEXIST);
  CHECK_ERRNO(open(DUMMY_FUNCTION, O_RDONLY | O_NOFOLLOW), ELOOP);
  CHECK_ERRNO(open(nullptr, O_RDONLY), EFAULT);
  CHECK_ERRNO(openat(999, "vendor", O_RDONLY), EBADF);
}
