// However a path leads there, it leads there: "..", links, directory
// descriptors, /proc/self/fd.
#include <linux/openat2.h>
#include <sys/syscall.h>

#include "programs/check.h"

static int open_within(int dir, const char* path, unsigned long long resolve) {
  struct open_how how = {};
  how.flags = O_RDONLY | O_CLOEXEC;
  how.resolve = resolve;
  return static_cast<int>(syscall(SYS_openat2, dir, path, &how, sizeof(how)));
}

static int open_with(unsigned long long flags, unsigned long long mode, unsigned long size) {
  struct {
    struct open_how how;
    unsigned long long behind;
  } arg = {};
  arg.how.flags = flags;
  arg.how.mode = mode;
  arg.behind = size > sizeof(arg);
  return static_cast<int>(
      syscall(SYS_openat2, AT_FDCWD, DUMMY_DEVICE, &arg, size > sizeof(arg) ? sizeof(arg) : size));
}

/// openat2(2): what a path must not do, and a struct that makes no sense.
static void limits() {
  const int dir = open("/sys/bus/pci/devices/0000:01:00.0/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const int linked = open("/sys/bus/pci/devices", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  CHECK(open_within(dir, "vendor", RESOLVE_BENEATH) >= 0);
  CHECK(open_within(dir, "tsm/../vendor", RESOLVE_BENEATH) >= 0);
  CHECK_ERRNO(open_within(dir, "../0000:01:00.0/vendor", RESOLVE_BENEATH), EXDEV);
  CHECK_ERRNO(open_within(dir, DUMMY_FUNCTION "/vendor", RESOLVE_BENEATH), EXDEV);
  CHECK_ERRNO(open_within(linked, "0000:01:00.0/vendor", RESOLVE_BENEATH), EXDEV);
  CHECK(open_within(dir, "/vendor", RESOLVE_IN_ROOT) >= 0);
  CHECK(open_within(dir, "../../vendor", RESOLVE_IN_ROOT) >= 0);
  CHECK_ERRNO(open_within(dir, DUMMY_FUNCTION "/vendor", RESOLVE_IN_ROOT), ENOENT);
  CHECK(open_within(dir, "vendor", RESOLVE_NO_SYMLINKS) >= 0);
  CHECK_ERRNO(open_within(linked, "0000:01:00.0/vendor", RESOLVE_NO_SYMLINKS), ELOOP);
  CHECK(open_within(linked, "0000:01:00.0/vendor", RESOLVE_NO_XDEV) >= 0);
  CHECK_ERRNO(open_within(AT_FDCWD, DUMMY_FUNCTION "/vendor", RESOLVE_NO_XDEV), EXDEV);
  char self[32];
  const int device = open_device();
  snprintf(self, sizeof(self), "/proc/self/fd/%d", device);
  CHECK(open_within(AT_FDCWD, self, 0) >= 0);
  CHECK_ERRNO(open_within(AT_FDCWD, self, RESOLVE_NO_MAGICLINKS), ELOOP);
  CHECK(open_with(O_RDWR, 0, sizeof(struct open_how)) >= 0);
  CHECK(open_with(O_RDWR, 0, sizeof(struct open_how) + 8) >= 0);
  CHECK_ERRNO(open_with(O_RDWR, 0, sizeof(struct open_how) + 9), E2BIG);
  CHECK_ERRNO(open_with(O_RDWR, 0, sizeof(struct open_how) - 8), EINVAL);
  CHECK_ERRNO(open_with(O_RDWR, 0600, sizeof(struct open_how)), EINVAL);
  CHECK_ERRNO(open_with(1ULL << 40, 0, sizeof(struct open_how)), EINVAL);
  CHECK_ERRNO(open_within(dir, "vendor", 1ULL << 40), EINVAL);
  CHECK_ERRNO(open_within(dir, "vendor", RESOLVE_BENEATH | RESOLVE_IN_ROOT), EINVAL);
}

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
  limits();
}
