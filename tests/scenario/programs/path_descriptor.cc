// O_PATH gives a descriptor that names a file of the tree and does not open it.
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>

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

/// What needs an open file, on one that is named only: Linux's fdget().
static void check_named_only(int handle, int more) {
  char text[64] = {};
  struct stat info;
  CHECK_ERRNO(read(handle, text, 1), EBADF);
  CHECK_ERRNO(write(handle, text, 1), EBADF);
  CHECK_ERRNO(pread(handle, text, 1, 0), EBADF);
  CHECK_ERRNO(pwrite(handle, text, 1, 0), EBADF);
  CHECK_ERRNO(ioctl(handle, DUMMY_OPEN), EBADF);
  CHECK_ERRNO(ioctl(handle, FIONBIO, text), EBADF);
  CHECK(mmap(nullptr, 4096, PROT_READ, MAP_SHARED, handle, 0) == MAP_FAILED && errno == EBADF);
  CHECK_ERRNO(lseek(handle, 0, SEEK_SET), EBADF);
  CHECK_ERRNO(ftruncate(handle, 0), EBADF);
  CHECK_ERRNO(fsync(handle), EBADF);
  CHECK_ERRNO(fchmod(handle, 0600), EBADF);
  CHECK_ERRNO(flock(handle, LOCK_SH), EBADF);
  CHECK_ERRNO(syscall(SYS_getdents64, handle, text, sizeof(text)), EBADF);
  CHECK_ERRNO(sendfile(handle, handle, nullptr, 1), EBADF);
  CHECK_ERRNO(fcntl(handle, F_SETFL, O_NONBLOCK), EBADF);
  CHECK_ERRNO(fcntl(handle, F_GETPIPE_SZ), EBADF);
  CHECK(fcntl(handle, F_GETFL) == (O_PATH | more));
  CHECK(fcntl(handle, F_GETFD) == FD_CLOEXEC);
  CHECK(fstat(handle, &info) == 0);
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
  check_named_only(vendor, 0);
  check_named_only(link, O_NOFOLLOW);
  check_named_only(function, O_DIRECTORY);
  const int plain = opens(DUMMY_FUNCTION, 0);
  check_named_only(plain, 0);
  // One that is opened lists, O_NOATIME or not.
  for (const int flags : {O_RDONLY, O_RDONLY | O_NOATIME}) {
    const int opened = open(DUMMY_FUNCTION, flags | O_DIRECTORY);
    const int high = fcntl(opened, F_DUPFD, 800);
    char entries[1024];
    CHECK(high >= 800 && syscall(SYS_getdents64, high, entries, sizeof(entries)) > 0);
    CHECK((fcntl(high, F_GETFL) & O_PATH) == 0);
    close(opened);
    close(high);
  }
  CHECK(reads_through(vendor));
  CHECK(faccessat(vendor, "", R_OK, AT_EMPTY_PATH) == 0);

  // A device is not opened either: nobody has it.
  const int device = opens(DUMMY_DEVICE, 0);
  CHECK(device >= 0 && fstat(device, &info) == 0 && S_ISCHR(info.st_mode));
  const int opened = open_device();
  CHECK(ioctl(opened, DUMMY_OPEN) == 1);
  check_named_only(device, 0);

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
