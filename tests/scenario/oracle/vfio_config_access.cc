// Reading config space at odd offsets and lengths.
#include "probe.h"

namespace {

constexpr off_t kConfig = off_t{VFIO_PCI_CONFIG_REGION_INDEX} << 40;

}  // namespace

int main() {
  const int device = probe::open_bound().device;
  std::uint8_t whole[4096] = {};
  probe::say_value(pread(device, whole, 4096, kConfig), "read 4096 at 0");
  std::uint8_t part[8] = {};
  for (const int length : {1, 2, 3, 4, 5, 8}) {
    for (const int offset : {0, 1, 2, 3, 0x3f}) {
      const long got = pread(device, part, static_cast<std::size_t>(length), kConfig + offset);
      probe::say_value(got, "read %d at 0x%x", length, offset);
      if (got != length || memcmp(part, whole + offset, static_cast<std::size_t>(got)) != 0) {
        puts("  and it is not what the long read said");
      }
    }
  }
  probe::say_value(pread(device, part, 4, kConfig + 4092), "read 4 at 4092");
  probe::say_value(pread(device, part, 4, kConfig + 4094), "read 4 at 4094");
  probe::say_value(pread(device, part, 4, kConfig + 4096), "read 4 at 4096");
  probe::say_value(pread(device, part, 1, kConfig + 100000), "read 1 at 100000");
  probe::say_value(pread(device, part, 0, kConfig), "read 0 at 0");
  probe::say_value(pread(device, part, 0, kConfig + 5000), "read 0 at 5000");
  probe::say_value(pread(device, probe::nowhere(), 4, kConfig), "read into unmapped memory");
  probe::say_value(pwrite(device, probe::nowhere(), 4, kConfig), "write from unmapped memory");
  probe::say_value(pread(device, part, 4, off_t{9} << 40), "read 4 in region 9");
  probe::say_value(pread(device, part, 4, off_t{8} << 40), "read 4 in VGA");
  probe::say_value(pread(device, part, 4, -1), "read at -1");
  probe::say_value(pread(device, part, 4, 0x7fffffffffffffff), "read at the last offset");
  probe::say_value(lseek(device, kConfig, SEEK_SET), "lseek");
  probe::say_value(read(device, part, 4), "read without an offset");
}
