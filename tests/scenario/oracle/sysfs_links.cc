// Class directories and the links between them and a function.
#include <sys/stat.h>

#include "probe.h"

namespace {

// Whether the two paths lead to the same directory.
bool same(const char* left, const char* right) {
  struct stat a = {};
  struct stat b = {};
  return stat(left, &a) == 0 && stat(right, &b) == 0 && a.st_ino == b.st_ino;
}

}  // namespace

int main() {
  const char* dir = probe::sysfs_dir();
  const char* bdf = strrchr(dir, '/') + 1;
  const char* vfio = strrchr(probe::device_path(), '/') + 1;
  char left[512];
  char right[512];

  snprintf(left, sizeof(left), "/sys/class/vfio-dev/%s/device", vfio);
  probe::say_if(same(left, dir), "class/vfio-dev/N/device is the function");
  snprintf(left, sizeof(left), "%s/vfio-dev/%s", dir, vfio);
  snprintf(right, sizeof(right), "/sys/class/vfio-dev/%s", vfio);
  probe::say_if(same(left, right), "the function's vfio-dev/N is that of the class");
  snprintf(left, sizeof(left), "%s/iommu_group/devices/%s", dir, bdf);
  probe::say_if(same(left, dir), "iommu_group/devices/BDF is the function");
  snprintf(left, sizeof(left), "%s/driver/%s", dir, bdf);
  probe::say_if(same(left, dir), "driver/BDF is the function");
  snprintf(left, sizeof(left), "%s/driver", dir);
  probe::say_if(same(left, "/sys/bus/pci/drivers/vfio-pci"), "driver is drivers/vfio-pci");
  probe::say(access("/sys/class/tsm", R_OK | X_OK), "/sys/class/tsm");
  probe::say(access("/sys/class/iommu", R_OK | X_OK), "/sys/class/iommu");
  probe::say(access("/sys/kernel/iommu_groups", R_OK | X_OK), "/sys/kernel/iommu_groups");

  snprintf(left, sizeof(left), "/sys/class/vfio-dev/%s/dev", vfio);
  const int fd = open(left, O_RDONLY);
  char text[32] = {};
  probe::say_if(read(fd, text, sizeof(text) - 1) > 0, "vfio-dev/N/dev can be read");
  struct stat node = {};
  stat(probe::device_path(), &node);
  char expected[32];
  snprintf(expected, sizeof(expected), "%u:%u\n", static_cast<unsigned>(node.st_rdev >> 8 & 0xfff),
           static_cast<unsigned>((node.st_rdev & 0xff) | (node.st_rdev >> 12 & 0xfff00)));
  probe::say_if(strcmp(text, expected) == 0, "and is the number of the device file");
  probe::say(open(left, O_WRONLY), "open it for writing");
  char byte = 0;
  probe::say_value(pread(fd, &byte, 1, 1000), "read it at 1000");
  probe::say(mkdir("/sys/class/vfio-dev/new", 0700), "mkdir in a class");
  snprintf(left, sizeof(left), "%s/vendor", dir);
  probe::say(unlink(left), "unlink an attribute");
  probe::say(truncate(left, 0), "truncate an attribute");
}
