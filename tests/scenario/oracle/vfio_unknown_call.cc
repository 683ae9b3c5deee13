// ioctl numbers that a bound device does not know.
#include "probe.h"

int main() {
  const int device = probe::open_bound().device;
  std::uint32_t argument[16] = {sizeof(argument)};
  probe::say(ioctl(device, _IO(VFIO_TYPE, VFIO_BASE + 30), argument), "VFIO_BASE + 30");
  probe::say(ioctl(device, VFIO_GET_API_VERSION), "VFIO_GET_API_VERSION");
  probe::say(ioctl(device, VFIO_CHECK_EXTENSION, 1), "VFIO_CHECK_EXTENSION");
  probe::say(ioctl(device, VFIO_GROUP_GET_STATUS, argument), "VFIO_GROUP_GET_STATUS");
  probe::say(ioctl(device, VFIO_DEVICE_QUERY_GFX_PLANE, argument), "QUERY_GFX_PLANE");
  probe::say(ioctl(device, IOMMU_IOAS_ALLOC, argument), "IOMMU_IOAS_ALLOC");
  probe::say(ioctl(device, _IOC(_IOC_READ, VFIO_TYPE, VFIO_BASE + 7, 24), argument),
             "GET_INFO with a size in the number");
  probe::say(ioctl(device, FIONREAD, argument), "FIONREAD");
}
