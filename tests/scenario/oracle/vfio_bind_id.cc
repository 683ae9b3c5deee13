// What BIND_IOMMUFD answers, and that an answer which cannot be written undoes it.
#include "probe.h"

int main() {
  const int iommufd = probe::open_iommufd();
  const int device = probe::open_device();
  auto* arg = reinterpret_cast<vfio_device_bind_iommufd*>(probe::pages(1));
  arg->argsz = 16;
  arg->iommufd = iommufd;
  mprotect(arg, probe::kPage, PROT_READ);
  probe::say(ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, arg), "read-only struct");
  mprotect(arg, probe::kPage, PROT_READ | PROT_WRITE);
  probe::say(ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, arg), "the same, writeable");
  probe::say_value(arg->out_devid, "id of the device");
  probe::say_value(arg->argsz, "argsz afterwards");
  probe::say_value(probe::alloc_ioas(iommufd), "id of an IOAS after it");
  probe::say(probe::destroy(iommufd, arg->out_devid), "DESTROY the device");
  close(device);
  probe::say(probe::destroy(iommufd, arg->out_devid), "DESTROY it after close");

  const int again = probe::open_device();
  std::uint32_t devid = 0;
  probe::say(probe::bind(again, iommufd, &devid), "open and bind again");
  probe::say_value(devid, "id of the device");
}
