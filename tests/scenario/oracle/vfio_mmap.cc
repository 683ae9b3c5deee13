// mmap of regions: what is refused, and what a mapping keeps alive.
#include "probe.h"

namespace {

int device;

void* map(const char* what, std::size_t length, std::uint64_t offset, int flags = MAP_SHARED,
          int prot = PROT_READ | PROT_WRITE) {
  void* memory = mmap(nullptr, length, prot, flags, device, static_cast<off_t>(offset));
  probe::say(memory == MAP_FAILED ? -1 : 0, "%s", what);
  return memory;
}

}  // namespace

int main() {
  device = probe::open_bound().device;
  const vfio_region_info bar = probe::mappable_bar(device);
  std::uint16_t command = 2;
  if (pwrite(device, &command, 2, (off_t{7} << 40) + 4) != 2) probe::give_up("COMMAND");

  map("config space", probe::kPage, std::uint64_t{VFIO_PCI_CONFIG_REGION_INDEX} << 40);
  map("ROM", probe::kPage, std::uint64_t{VFIO_PCI_ROM_REGION_INDEX} << 40);
  map("VGA", probe::kPage, std::uint64_t{VFIO_PCI_VGA_REGION_INDEX} << 40);
  map("region 9", probe::kPage, std::uint64_t{9} << 40);
  map("region 1000", probe::kPage, std::uint64_t{1000} << 40);
  map("private", probe::kPage, bar.offset, MAP_PRIVATE);
  map("a page behind the BAR", probe::kPage, bar.offset + bar.size);
  map("more than the BAR", bar.size + probe::kPage, bar.offset);
  map("across its end", 2 * probe::kPage, bar.offset + bar.size - probe::kPage);
  map("odd offset", probe::kPage, bar.offset + 1);
  map("the second page", probe::kPage, bar.offset + probe::kPage);
  map("the last page", probe::kPage, bar.offset + bar.size - probe::kPage);
  map("read only", probe::kPage, bar.offset, MAP_SHARED, PROT_READ);
  auto* memory = static_cast<volatile std::uint32_t*>(map("all of it", bar.size, bar.offset));
  const std::uint32_t first = memory[0];
  probe::say_if(memory[0] == first, "it can be read");
  const vfio_region_info absent = [] {
    for (std::uint32_t i = 0; i <= VFIO_PCI_BAR5_REGION_INDEX; ++i) {
      const vfio_region_info info = probe::region(device, i);
      if (info.size == 0) return info;
    }
    probe::give_up("all BARs are there");
  }();
  map("a BAR that is not there", probe::kPage, absent.offset);

  const int readonly = open(probe::device_path(), O_RDONLY);
  probe::say(readonly, "open the device read-only");
}
