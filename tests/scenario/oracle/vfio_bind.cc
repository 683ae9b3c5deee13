// BIND_IOMMUFD: what is refused, and that a device is bound once.
#include <sys/eventfd.h>

#include "probe.h"

namespace {

long bind(int device, std::uint32_t argsz, std::uint32_t flags, int iommufd) {
  struct {
    vfio_device_bind_iommufd bind;
    std::uint64_t tail;
  } arg = {};
  arg.tail = ~0ULL;
  arg.bind.argsz = argsz;
  arg.bind.flags = flags;
  arg.bind.iommufd = iommufd;
  return probe::call(device, VFIO_DEVICE_BIND_IOMMUFD, arg);
}

}  // namespace

int main() {
  const int iommufd = probe::open_iommufd();
  const int device = probe::open_device();
  probe::say(ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, nullptr), "null pointer");
  for (const std::uint32_t argsz : {0U, 12U, 15U}) {
    probe::say(bind(device, argsz, 0, iommufd), "argsz %u", argsz);
  }
  probe::say(bind(device, 24, 2, iommufd), "unknown flag");
  probe::say(bind(device, 24, VFIO_DEVICE_BIND_FLAG_TOKEN, iommufd), "token at null");
  probe::say(bind(device, 16, VFIO_DEVICE_BIND_FLAG_TOKEN, iommufd), "token behind argsz");
  probe::say(bind(device, 16, 0, -1), "iommufd -1");
  probe::say(bind(device, 16, 0, 1000), "iommufd 1000, not open");
  probe::say(bind(device, 16, 0, eventfd(0, 0)), "iommufd is an eventfd");
  probe::say(bind(device, 16, 0, device), "iommufd is the device");
  probe::say(bind(device, 32, 0, iommufd), "argsz beyond the struct, its tail set");
  probe::say(bind(device, 16, 0, iommufd), "an iommufd");
  probe::say(bind(device, 16, 0, iommufd), "again");
  probe::say(bind(device, 16, 0, probe::open_iommufd()), "again, another iommufd");

  const int second = probe::open_device();
  probe::say(second, "open the device a second time");
  probe::say(bind(second, 16, 0, iommufd), "bind the second fd, same iommufd");
  probe::say(bind(second, 16, 0, probe::open_iommufd()), "bind the second fd, another iommufd");
  close(device);
  probe::say(bind(second, 16, 0, iommufd), "bind the second fd, the first is closed");
}
