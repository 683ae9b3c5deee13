// Which bits of config space a program may change.
#include "probe.h"

namespace {

constexpr off_t kConfig = off_t{VFIO_PCI_CONFIG_REGION_INDEX} << 40;

int device;

std::uint32_t get(int offset, std::size_t length) {
  std::uint32_t value = 0;
  if (pread(device, &value, length, kConfig + offset) < 0) probe::give_up("read");
  return value;
}

void put(int offset, std::size_t length, std::uint32_t value, const char* what) {
  const std::uint32_t before = get(offset, length);
  probe::say_value(pwrite(device, &value, length, kConfig + offset), "%s", what);
  const std::uint32_t after = get(offset, length);
  printf("  it %s\n", after == before ? "is unchanged" : after == value ? "holds it" : "changed");
}

}  // namespace

int main() {
  device = probe::open_bound().device;
  put(0x00, 2, 0x1234, "vendor id");
  put(0x02, 2, 0x1234, "device id");
  put(0x08, 4, 0x12345678, "class and revision");
  put(0x0e, 1, 0x7f, "header type");
  put(0x34, 1, 0xfc, "capability pointer");
  put(0x2c, 4, 0x12345678, "subsystem ids");
  put(0x3c, 1, 0x66, "interrupt line");
  put(0x3d, 1, 0x05, "interrupt pin");
  put(0x04, 2, 0x0006, "COMMAND: memory and master");
  put(0x04, 2, 0x0406, "COMMAND: and INTx off");
  put(0x04, 2, 0x0000, "COMMAND: nothing");
  const std::uint32_t bar = get(0x10, 4);
  put(0x10, 4, 0xffffffff, "BAR 0: all ones");
  probe::say_if((get(0x10, 4) & 0xf) == (bar & 0xf), "  its type bits stay");
  probe::say_if(get(0x10, 4) != 0xffffffff && get(0x10, 4) > 0xff000000, "  it shows its size");
  put(0x10, 4, bar, "BAR 0: as before");
  put(0x100, 4, 0, "first extended capability");
}
