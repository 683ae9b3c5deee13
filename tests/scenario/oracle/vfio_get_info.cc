// GET_INFO: argsz, and what every PCI function says.
#include "probe.h"

int main() {
  const int device = probe::open_bound().device;
  vfio_device_info info = {};
  for (const std::uint32_t argsz : {0U, 4U, 15U, 16U, 20U, 24U, 4096U}) {
    memset(&info, 0, sizeof(info));
    info.argsz = argsz;
    info.flags = 0xffffffff;
    probe::say(probe::call(device, VFIO_DEVICE_GET_INFO, info), "argsz %u", argsz);
  }
  info.argsz = 16;
  info.cap_offset = 77;
  probe::say(probe::call(device, VFIO_DEVICE_GET_INFO, info), "argsz 16 again");
  probe::say_if((info.flags & VFIO_DEVICE_FLAGS_PCI) != 0, "a PCI function");
  probe::say_if((info.flags & VFIO_DEVICE_FLAGS_RESET) != 0, "can be reset");
  probe::say_if((info.flags & VFIO_DEVICE_FLAGS_PLATFORM) != 0, "a platform device");
  probe::say_value(info.num_regions, "regions");
  probe::say_value(info.num_irqs, "interrupts");
  probe::say_value(info.cap_offset, "cap_offset, behind argsz");
  probe::say(ioctl(device, VFIO_DEVICE_GET_INFO, nullptr), "null pointer");
  auto* readonly = reinterpret_cast<vfio_device_info*>(probe::pages(1));
  readonly->argsz = sizeof(*readonly);
  mprotect(readonly, probe::kPage, PROT_READ);
  probe::say(ioctl(device, VFIO_DEVICE_GET_INFO, readonly), "read-only struct");
}
