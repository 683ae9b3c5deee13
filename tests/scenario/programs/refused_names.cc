// What the tree does not offer is refused and never reaches the host.
// stderr: unlink.*refused with EPERM
#include "programs/check.h"

int main() {
  const char* path = DUMMY_FUNCTION "/reset";
  CHECK_ERRNO(unlink(path), EPERM);
  CHECK_ERRNO(rename(path, "/tmp/x"), EXDEV);
  CHECK_ERRNO(rename("/etc/passwd", "/sys/bus/pci/passwd"), EXDEV);
  CHECK_ERRNO(rename(path, DUMMY_FUNCTION "/other"), EPERM);
  CHECK_ERRNO(mkdir("/sys/bus/pci/new", 0700), EPERM);
  CHECK_ERRNO(mknod("/sys/bus/pci/new", S_IFREG, 0), EACCES);
  CHECK_ERRNO(open("/sys/bus/pci", O_TMPFILE | O_RDWR, 0600), EOPNOTSUPP);
  CHECK_ERRNO(symlink("/etc", "/sys/bus/pci/new"), EPERM);
  CHECK_ERRNO(link("/etc/passwd", "/dev/vfio/new"), EXDEV);
  CHECK_ERRNO(execl(path, path, nullptr), EACCES);
  struct stat info;
  CHECK(stat(path, &info) == 0);
}
