// A group: who may open it, its status, and what its node and the device's exclude.
#include "group.h"

int main() {
  const int device = probe::open_device();
  const int group = probe::open_group();
  struct stat info = {};
  probe::say(fstat(group, &info), "fstat");
  probe::say_if(S_ISCHR(info.st_mode), "a group is a character device");
  probe::say(open(probe::group_path(), O_RDWR), "open a second time");
  probe::say_status(group, "without a container");
  vfio_group_status status = {7, 0};
  probe::say(probe::call(group, VFIO_GROUP_GET_STATUS, status), "status, argsz 7");
  probe::say(ioctl(group, VFIO_GROUP_GET_STATUS, nullptr), "status at null");
  probe::say(ioctl(group, VFIO_GET_API_VERSION), "GET_API_VERSION of a group");
  probe::say(ioctl(group, VFIO_DEVICE_GET_INFO, probe::nowhere()), "DEVICE_GET_INFO of a group");
  probe::say(read(group, &status, 4), "read a group");
  probe::say(mmap(nullptr, 4096, PROT_READ, MAP_SHARED, group, 0) == MAP_FAILED ? -1 : 0,
             "mmap a group");

  const int iommufd = probe::open_iommufd();
  probe::say(probe::bind(device, iommufd, nullptr), "bind the node while the group is open");
  close(group);
  probe::say(probe::bind(device, iommufd, nullptr), "bind the node");
  probe::say(open(probe::group_path(), O_RDWR), "open the group while the node is bound");
  close(device);
  const int again = open(probe::group_path(), O_RDWR);
  probe::say(again, "open the group");
  probe::say(open(probe::device_path(), O_RDWR), "open the node while the group is open");
}
