// The file systems are those of a host: sysfs, devtmpfs, anonymous inodes.
#include <linux/magic.h>
#include <sys/vfs.h>

#include <initializer_list>

#include "programs/check.h"

int main() {
  struct statfs info = {};
  CHECK(statfs("/sys/bus/pci", &info) == 0 && info.f_type == SYSFS_MAGIC);
  CHECK(info.f_bsize == 4096 && info.f_frsize == 4096 && info.f_namelen == 255);
  CHECK(info.f_blocks == 0 && info.f_files == 0);
  CHECK(statfs(DUMMY_FUNCTION "/vendor", &info) == 0 && info.f_type == SYSFS_MAGIC);
  CHECK(statfs(DUMMY_DEVICE, &info) == 0 && info.f_type == TMPFS_MAGIC);
  CHECK_ERRNO(statfs("/sys/bus/pci/nothing", &info), ENOENT);
  CHECK_ERRNO(statfs("/sys/bus/pci", nullptr), EFAULT);
  const int directory = open("/sys/bus/pci/devices", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const int attribute = open(DUMMY_FUNCTION "/vendor", O_RDONLY | O_CLOEXEC);
  const int handle = open(DUMMY_FUNCTION, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  for (const int fd : {directory, attribute, handle}) {
    CHECK(fd >= 0);
    CHECK(fstatfs(fd, &info) == 0 && info.f_type == SYSFS_MAGIC);
  }
  const int device = open_device();
  CHECK(fstatfs(device, &info) == 0 && info.f_type == TMPFS_MAGIC);
  const int made = ioctl(device, DUMMY_MAKE);
  CHECK(made >= 0 && fstatfs(made, &info) == 0 && info.f_type == ANON_INODE_FS_MAGIC);
  CHECK(statfs("/proc", &info) == 0 && info.f_type == PROC_SUPER_MAGIC);
  CHECK_ERRNO(fstatfs(999, &info), EBADF);
}
