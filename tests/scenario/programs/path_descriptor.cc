// O_PATH gives a descriptor that names a file of the tree and does not open it.
#include <initializer_list>

#include "programs/check.h"

static int opens(const char* path, int flags) { return open(path, O_PATH | O_CLOEXEC | flags); }

static int reads_through(int handle) {
  char self[32];
  snprintf(self, sizeof(self), "/proc/self/fd/%d", handle);
  char text[8] = {};
  const int fd = open(self, O_RDONLY | O_CLOEXEC);
  const int right = fd >= 0 && read(fd, text, 7) == 7 && strcmp(text, "0x1af4\n") == 0;
  close(fd);
  return right;
}

int main() {
  struct stat info;
  char text[64] = {};
  const int link = opens(DUMMY_FUNCTION, O_NOFOLLOW);
  CHECK(link >= 0 && fstat(link, &info) == 0 && S_ISLNK(info.st_mode));
  CHECK(readlinkat(link, "", text, sizeof(text)) == 40);
  CHECK(fstatat(link, "", &info, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) == 0);
  CHECK(S_ISLNK(info.st_mode));

  const int function = opens(DUMMY_FUNCTION, O_DIRECTORY);
  CHECK(function >= 0 && fstat(function, &info) == 0 && S_ISDIR(info.st_mode));
  const int vendor = openat(function, "vendor", O_PATH | O_CLOEXEC);
  CHECK(vendor >= 0 && fstat(vendor, &info) == 0 && S_ISREG(info.st_mode) && info.st_size == 4096);
  CHECK_ERRNO(read(vendor, text, 1), EBADF);
  CHECK_ERRNO(write(vendor, text, 1), EBADF);
  CHECK(reads_through(vendor));
  CHECK(faccessat(vendor, "", R_OK, AT_EMPTY_PATH) == 0);

  // A device is not opened either: nobody has it.
  const int device = opens(DUMMY_DEVICE, 0);
  CHECK(device >= 0 && fstat(device, &info) == 0 && S_ISCHR(info.st_mode));
  const int opened = open_device();
  CHECK(ioctl(opened, DUMMY_OPEN) == 1);

  CHECK_ERRNO(opens("/sys/bus/pci/nothing", 0), ENOENT);
  CHECK_ERRNO(opens(DUMMY_FUNCTION "/vendor", O_DIRECTORY), ENOTDIR);
  CHECK_ERRNO(opens(DUMMY_FUNCTION "/vendor/x", 0), ENOTDIR);

  // As systemd resolves a path: a component at a time, ".." by the directory's own.
  int at = open("/", O_PATH | O_CLOEXEC);
  for (const char* name : {"sys", "bus", "pci", "devices", "..", "..", "..", "devices"}) {
    const int next = openat(at, name, O_PATH | O_CLOEXEC | O_NOFOLLOW);
    CHECK(next >= 0);
    CHECK(close(at) == 0);
    at = next;
  }
  const int again = openat(at, "pci0000:00/0000:01:00.0/vendor", O_RDONLY | O_CLOEXEC);
  CHECK(again >= 0 && read(again, text, 7) == 7);
  snprintf(text, sizeof(text), "/proc/self/fd/%d", function);
  char target[64] = {};
  CHECK(readlink(text, target, sizeof(target)) > 0);
  CHECK(strcmp(target, "/sys/devices/pci0000:00/0000:01:00.0") == 0);
}
