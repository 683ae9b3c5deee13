// The device files, as stat and access see them.
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "probe.h"

namespace {

void look(const char* what, const char* path) {
  struct stat status = {};
  if (probe::say(stat(path, &status), "stat %s", what) != 0) return;
  probe::say_if(S_ISCHR(status.st_mode), "  a character device");
  probe::say_value(status.st_size, "  size");
  const int fd = open(path, O_RDWR);
  struct stat opened = {};
  probe::say(fstat(fd, &opened), "  fstat");
  probe::say_if(opened.st_rdev == status.st_rdev && opened.st_ino == status.st_ino &&
                    opened.st_mode == status.st_mode,
                "  the same file");
  probe::say(access(path, R_OK | W_OK), "  access for reading and writing");
  probe::say(access(path, X_OK), "  access for execution");
  probe::say(isatty(fd) == 1 ? 0 : -1, "  isatty");
  probe::say(ftruncate(fd, 0), "  ftruncate");
  probe::say(fsync(fd), "  fsync");
  close(fd);
}

}  // namespace

int main() {
  look("/dev/iommu", "/dev/iommu");
  look("/dev/kvm", "/dev/kvm");
  look("the VFIO device", probe::device_path());
  struct stat iommu = {};
  stat("/dev/iommu", &iommu);
  probe::say_value(major(iommu.st_rdev), "major of /dev/iommu");
  struct stat kvm = {};
  stat("/dev/kvm", &kvm);
  printf("number of /dev/kvm -> %u:%u\n", major(kvm.st_rdev), minor(kvm.st_rdev));
  probe::say(access("/dev/vfio/devices/nothing", F_OK), "a VFIO device that is not there");
  probe::say(access("/dev/vfio/devices", F_OK), "/dev/vfio/devices");
}
