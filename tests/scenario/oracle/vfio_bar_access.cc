// read and write of BARs at region offsets.
#include "probe.h"

int main() {
  const int device = probe::open_bound().device;
  const vfio_region_info bar = probe::mappable_bar(device);
  const off_t start = static_cast<off_t>(bar.offset);
  const off_t size = static_cast<off_t>(bar.size);
  std::uint8_t data[16] = {};

  const off_t command_at = (off_t{VFIO_PCI_CONFIG_REGION_INDEX} << 40) + 4;
  std::uint16_t command = 0;
  probe::say_value(pwrite(device, &command, 2, command_at), "disable memory");
  probe::say_value(pread(device, data, 4, start), "read 4 at 0");
  probe::say_value(pwrite(device, data, 4, start), "write 4 at 0");
  command = 2;
  probe::say_value(pwrite(device, &command, 2, command_at), "enable memory");

  for (const std::size_t length : {1UL, 2UL, 3UL, 4UL, 8UL, 16UL}) {
    probe::say_value(pread(device, data, length, start), "read %zu at 0", length);
    probe::say_value(pread(device, data, length, start + 1), "read %zu at 1", length);
  }
  probe::say_value(pread(device, data, 0, start), "read 0 at 0");
  probe::say_value(pread(device, data, 4, start + size - 4), "read 4 at the end");
  probe::say_value(pread(device, data, 8, start + size - 4), "read 8 across the end");
  probe::say_value(pread(device, data, 4, start + size), "read 4 behind the end");
  probe::say_value(pwrite(device, data, 4, start + size), "write 4 behind the end");
  probe::say_value(pread(device, probe::nowhere(), 4, start), "read into unmapped memory");
  probe::say_value(pwrite(device, probe::nowhere(), 4, start), "write from unmapped memory");
  for (std::uint32_t index = 0; index <= VFIO_PCI_BAR5_REGION_INDEX; ++index) {
    const vfio_region_info info = probe::region(device, index);
    if (info.size != 0) continue;
    probe::say_value(pread(device, data, 4, static_cast<off_t>(info.offset)),
                     "read 4 of a BAR that is not there");
    break;
  }
}
