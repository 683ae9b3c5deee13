// A device fd that is not bound to an iommufd does nothing yet.
#include <poll.h>

#include "probe.h"

int main() {
  const int device = probe::open_device();
  vfio_device_info info = {};
  info.argsz = sizeof(info);
  probe::say(probe::call(device, VFIO_DEVICE_GET_INFO, info), "GET_INFO");
  vfio_region_info region = {};
  region.argsz = sizeof(region);
  probe::say(probe::call(device, VFIO_DEVICE_GET_REGION_INFO, region), "GET_REGION_INFO");
  probe::say(ioctl(device, VFIO_DEVICE_RESET), "RESET");
  probe::say(probe::attach(device, 1), "ATTACH_IOMMUFD_PT");
  vfio_device_detach_iommufd_pt detach = {sizeof(detach), 0, 0};
  probe::say(probe::call(device, VFIO_DEVICE_DETACH_IOMMUFD_PT, detach), "DETACH_IOMMUFD_PT");
  probe::say(ioctl(device, _IO(VFIO_TYPE, VFIO_BASE + 30)), "a number that nobody has");
  probe::say(ioctl(device, VFIO_DEVICE_GET_INFO, probe::nowhere()), "GET_INFO, unmapped pointer");

  std::uint32_t word = 0;
  const off_t config = off_t{VFIO_PCI_CONFIG_REGION_INDEX} << 40;
  probe::say(pread(device, &word, 4, config), "pread of config space");
  probe::say(pwrite(device, &word, 4, config), "pwrite of config space");
  const void* map = mmap(nullptr, probe::kPage, PROT_READ, MAP_SHARED, device, 0);
  probe::say(map == MAP_FAILED ? -1 : 0, "mmap of BAR 0");
  probe::say(read(device, &word, 4), "read");
  probe::say_value(lseek(device, 16, SEEK_SET), "lseek");
  pollfd event = {device, POLLIN, 0};
  probe::say_value(poll(&event, 1, 0), "poll");
}
