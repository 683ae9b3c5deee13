// GET_REGION_INFO of each index.
#include "probe.h"

namespace {

constexpr std::uint32_t kRead = VFIO_REGION_INFO_FLAG_READ;
constexpr std::uint32_t kWrite = VFIO_REGION_INFO_FLAG_WRITE;

long ask(int device, std::uint32_t index, vfio_region_info* info) {
  memset(info, 0, sizeof(*info));
  info->argsz = sizeof(*info);
  info->index = index;
  info->flags = 0xffffffff;
  return probe::call(device, VFIO_DEVICE_GET_REGION_INFO, *info);
}

}  // namespace

int main() {
  const int device = probe::open_bound().device;
  vfio_region_info info = {};
  for (std::uint32_t index = 0; index <= VFIO_PCI_BAR5_REGION_INDEX; ++index) {
    probe::say(ask(device, index, &info), "BAR %u", index);
    probe::say_if(info.offset == std::uint64_t{index} << 40, "  its offset is index << 40");
    probe::say_if((info.size & (info.size - 1)) == 0, "  its size is 0 or a power of two");
    probe::say_if(info.size == 0 ? info.flags == 0 : (info.flags & 3) == (kRead | kWrite),
                  "  it can be read and written if it is there");
    probe::say_if((info.flags & VFIO_REGION_INFO_FLAG_MMAP) == 0 || info.size >= probe::kPage,
                  "  what can be mapped is a page or more");
  }
  probe::say(ask(device, VFIO_PCI_ROM_REGION_INDEX, &info), "ROM");
  probe::say_if((info.flags & kWrite) != 0, "  it can be written");
  probe::say(ask(device, VFIO_PCI_CONFIG_REGION_INDEX, &info), "config space");
  printf("  size %llu, flags %u, offset 0x%llx\n", info.size, info.flags, info.offset);
  probe::say(ask(device, VFIO_PCI_VGA_REGION_INDEX, &info), "VGA");
  for (const std::uint32_t index : {9U, 10U, 100U, 0xffffffffU}) {
    probe::say(ask(device, index, &info), "index %u", index);
  }

  for (const std::uint32_t argsz : {0U, 24U, 31U, 33U, 4096U}) {
    memset(&info, 0, sizeof(info));
    info.argsz = argsz;
    info.index = VFIO_PCI_CONFIG_REGION_INDEX;
    probe::say(probe::call(device, VFIO_DEVICE_GET_REGION_INFO, info), "argsz %u", argsz);
    probe::say_value(info.argsz, "  argsz is now");
  }
  probe::say(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, probe::nowhere()), "unmapped pointer");
}
