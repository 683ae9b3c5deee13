// SET_CONTAINER, UNSET_CONTAINER, SET_IOMMU, GET_DEVICE_FD: their order and their refusals.
#include <sys/eventfd.h>

#include "group.h"

int main() {
  const int group = probe::open_group();
  const int container = probe::open_container();
  probe::say(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), "SET_IOMMU without a group");
  probe::say(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER without one");
  probe::say(ioctl(group, VFIO_GROUP_SET_CONTAINER, nullptr), "SET_CONTAINER, null");
  probe::say(probe::set_container(group, 1000), "SET_CONTAINER, no descriptor");
  probe::say(probe::set_container(group, eventfd(0, 0)), "SET_CONTAINER, an eventfd");
  probe::say(probe::set_container(group, group), "SET_CONTAINER, the group");
  probe::say(probe::device_fd(group, probe::device_name()), "GET_DEVICE_FD without a container");
  probe::say(probe::set_container(group, container), "SET_CONTAINER");
  probe::say_status(group, "with a container");
  probe::say(probe::set_container(group, container), "SET_CONTAINER again");
  probe::say(probe::device_fd(group, probe::device_name()), "GET_DEVICE_FD without an IOMMU");
  for (const long type : {0L, 2L, 4L, 6L, 7L, 8L, 9L, 10L, -1L})
    probe::say(ioctl(container, VFIO_SET_IOMMU, type), "SET_IOMMU %ld", type);
  probe::say(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "SET_IOMMU 1v2");
  probe::say(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), "SET_IOMMU again");

  char text[128];
  const char* name = probe::device_name();
  probe::say(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, nullptr), "GET_DEVICE_FD, null");
  probe::say(probe::device_fd(group, ""), "GET_DEVICE_FD, no name");
  probe::say(probe::device_fd(group, "0000:00:00.0"), "GET_DEVICE_FD, of no group's");
  for (const char* tail : {"x", " x", " vf_token=", " vf_token=0", "  "}) {
    snprintf(text, sizeof(text), "%s%s", name, tail);
    const long fd = probe::device_fd(group, text);
    probe::say(fd, "GET_DEVICE_FD, the name and \"%s\"", tail);
    if (fd >= 0) close(static_cast<int>(fd));
  }
  const long device = probe::device_fd(group, name);
  probe::say(device, "GET_DEVICE_FD");
  const int fd = static_cast<int>(device);
  probe::say_value(fcntl(fd, F_GETFD), "its descriptor flags");
  probe::say_value(fcntl(fd, F_GETFL) & O_ACCMODE, "its access mode");
  struct stat info = {};
  probe::say(fstat(fd, &info), "fstat it");
  probe::say_if((info.st_mode & S_IFMT) == 0, "it has no file type");
  vfio_device_info arg = {};
  arg.argsz = sizeof(arg);
  probe::say(probe::call(fd, VFIO_DEVICE_GET_INFO, arg), "DEVICE_GET_INFO");
  probe::say(probe::bind(fd, probe::open_iommufd(), nullptr), "BIND_IOMMUFD of it");
  probe::say(probe::attach(fd, 1), "ATTACH_IOMMUFD_PT of it");
  vfio_device_detach_iommufd_pt detach = {};
  detach.argsz = sizeof(detach);
  probe::say(probe::call(fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, detach), "DETACH_IOMMUFD_PT of it");
  probe::say(probe::device_fd(group, name), "GET_DEVICE_FD a second time");
  probe::say(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER while it is open");
}
