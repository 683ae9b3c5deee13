// An iommufd as a group's container.
#include "group.h"

namespace {

long ioas(int iommufd, std::uint16_t op) {
  iommu_vfio_ioas arg = {sizeof(arg), 0, op, 0};
  return probe::call(iommufd, IOMMU_VFIO_IOAS, arg);
}

}  // namespace

int main() {
  const int group = probe::open_group();
  const int iommufd = probe::open_iommufd();
  const char* name = probe::device_name();
  probe::say(ioas(iommufd, IOMMU_VFIO_IOAS_GET), "its IOAS before");
  probe::say(probe::set_container(group, iommufd), "SET_CONTAINER");
  probe::say(ioas(iommufd, IOMMU_VFIO_IOAS_GET), "its IOAS after");
  probe::say_status(group, "with an iommufd");
  probe::say(probe::set_container(group, probe::open_container()), "SET_CONTAINER again");
  const long device = probe::device_fd(group, name);
  probe::say(device, "GET_DEVICE_FD without SET_IOMMU");
  probe::say(ioctl(iommufd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "SET_IOMMU");
  const std::uint64_t va = probe::address_of(probe::pages(2));
  probe::say(probe::map(iommufd, va, 0x10000, 8192), "map");
  probe::say_unmap(iommufd, "a part", 0x10000, 4096);
  probe::say(probe::device_fd(group, name), "GET_DEVICE_FD a second time");
  probe::say(ioas(iommufd, IOMMU_VFIO_IOAS_CLEAR), "clear its IOAS");
  probe::say(probe::device_fd(group, name), "GET_DEVICE_FD of an open device, no IOAS");
  probe::say(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER while it is open");
  probe::say_status(group, "its device still open");
  probe::say(probe::set_container(group, probe::open_container()), "SET_CONTAINER, a container");
  probe::say(probe::device_fd(group, name), "GET_DEVICE_FD without a container");
  const int other = probe::open_iommufd();
  probe::say(probe::set_container(group, other), "SET_CONTAINER, another iommufd");
  probe::say(ioas(other, IOMMU_VFIO_IOAS_GET), "its IOAS");
  close(group);
  const int again = open(probe::group_path(), O_RDWR);
  probe::say(again, "open the group while its devices are open");
  const int node = open(probe::device_path(), O_RDWR);
  probe::say(node, "open the node");
  probe::say(probe::bind(node, iommufd, nullptr), "bind the node");
  close(again);
  probe::say(probe::bind(node, iommufd, nullptr), "bind the node, the group is closed");
}
