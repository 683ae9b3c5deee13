// RESET: config space afterwards, and what stays.
#include "probe.h"

int main() {
  const probe::BoundDevice bound = probe::open_bound();
  const std::uint32_t ioas = probe::alloc_ioas(bound.iommufd);
  if (probe::attach(bound.device, ioas) != 0) probe::give_up("attach");
  const off_t command = (off_t{VFIO_PCI_CONFIG_REGION_INDEX} << 40) + 4;
  std::uint16_t value = 6;
  probe::say_value(pwrite(bound.device, &value, 2, command), "write COMMAND, memory and master");
  probe::say_value(pread(bound.device, &value, 2, command), "read COMMAND");
  printf("  memory %d, master %d\n", (value >> 1) & 1, (value >> 2) & 1);
  probe::say(ioctl(bound.device, VFIO_DEVICE_RESET), "RESET");
  probe::say(ioctl(bound.device, VFIO_DEVICE_RESET, 7), "RESET with an argument");
  probe::say_value(pread(bound.device, &value, 2, command), "read COMMAND");
  printf("  memory %d, master %d\n", (value >> 1) & 1, (value >> 2) & 1);
  probe::say(probe::destroy(bound.iommufd, ioas), "DESTROY the IOAS, still attached");
}
