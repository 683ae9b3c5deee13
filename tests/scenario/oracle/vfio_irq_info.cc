// GET_IRQ_INFO of each index.
#include "probe.h"

namespace {

void ask(int device, std::uint32_t index, const char* what) {
  vfio_irq_info info = {sizeof(info), 0xffffffff, index, 0};
  if (probe::say(probe::call(device, VFIO_DEVICE_GET_IRQ_INFO, info), "%s", what) != 0) return;
  probe::say_if((info.flags & VFIO_IRQ_INFO_EVENTFD) != 0, "  eventfd");
  probe::say_if((info.flags & VFIO_IRQ_INFO_MASKABLE) != 0, "  maskable");
  probe::say_if((info.flags & VFIO_IRQ_INFO_AUTOMASKED) != 0, "  masked by itself");
  probe::say_if((info.flags & VFIO_IRQ_INFO_NORESIZE) != 0, "  cannot be resized");
}

}  // namespace

int main() {
  const int device = probe::open_bound().device;
  ask(device, VFIO_PCI_MSIX_IRQ_INDEX, "MSI-X");
  ask(device, VFIO_PCI_ERR_IRQ_INDEX, "ERR");
  ask(device, VFIO_PCI_REQ_IRQ_INDEX, "REQ");
  for (const std::uint32_t index : {5U, 6U, 0xffffffffU}) ask(device, index, "an index beyond");

  vfio_irq_info info = {15, 0, VFIO_PCI_MSIX_IRQ_INDEX, 0};
  probe::say(probe::call(device, VFIO_DEVICE_GET_IRQ_INFO, info), "argsz 15");
  info.argsz = 4096;
  probe::say(probe::call(device, VFIO_DEVICE_GET_IRQ_INFO, info), "argsz 4096");
  probe::say_if(info.count > 0, "MSI-X has vectors");
  info.index = VFIO_PCI_REQ_IRQ_INDEX;
  probe::say(probe::call(device, VFIO_DEVICE_GET_IRQ_INFO, info), "REQ");
  probe::say_value(info.count, "its count");
  probe::say(ioctl(device, VFIO_DEVICE_GET_IRQ_INFO, nullptr), "null pointer");
}
