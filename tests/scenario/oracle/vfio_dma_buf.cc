// FEATURE DMA_BUF: which ranges of a BAR can be exported.
#include "dma_buf.h"

namespace {

int device;

void ask(const probe::DmaBufRequest& request, const char* what) {
  probe::say(ioctl(device, VFIO_DEVICE_FEATURE, &request), "%s", what);
}

void ask_range(std::uint32_t index, std::uint64_t offset, std::uint64_t length, const char* what) {
  probe::DmaBufRequest request = probe::dma_buf_request(index);
  request.ranges[0] = {offset, length};
  ask(request, what);
}

/// All but the range can be read.
void ask_unreadable(std::uint32_t index, const char* what) {
  auto* const pages = static_cast<char*>(
      mmap(nullptr, 2 * probe::kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  munmap(pages + probe::kPage, probe::kPage);
  const probe::DmaBufRequest request = probe::dma_buf_request(index);
  const std::size_t head = offsetof(probe::DmaBufRequest, ranges);
  char* const at = pages + probe::kPage - head;
  memcpy(at, &request, head);
  probe::say(ioctl(device, VFIO_DEVICE_FEATURE, at), "%s", what);
  munmap(pages, probe::kPage);
}

}  // namespace

int main() {
  device = probe::open_bound().device;
  const vfio_region_info bar = probe::mappable_bar(device);
  ask_range(bar.index, 0, probe::kPage, "a page of a BAR");
  ask_range(bar.index, 0, bar.size, "all of it");
  ask_range(bar.index, bar.size - probe::kPage, probe::kPage, "its last page");
  ask_range(bar.index, 0, 0, "length 0");
  ask_range(bar.index, 0, 100, "length 100");
  ask_range(bar.index, 100, probe::kPage, "offset 100");
  ask_range(bar.index, bar.size, probe::kPage, "behind the BAR");
  ask_range(bar.index, 0, bar.size + probe::kPage, "longer than the BAR");
  ask_range(bar.index, ~0ULL - 4095, 2 * probe::kPage, "offset plus length wraps");
  ask_range(VFIO_PCI_ROM_REGION_INDEX, 0, probe::kPage, "ROM");
  ask_range(VFIO_PCI_CONFIG_REGION_INDEX, 0, probe::kPage, "config space");
  ask_range(9, 0, probe::kPage, "region 9");
  ask_range(1000, 0, probe::kPage, "region 1000");

  const probe::DmaBufRequest good = probe::dma_buf_request(bar.index);
  probe::DmaBufRequest request = good;
  request.argsz = 24;
  ask(request, "argsz without the range");
  request.argsz = 16;
  ask(request, "argsz without nr_ranges");
  request = good;
  request.nr_ranges = 0;
  ask(request, "no range");
  request.nr_ranges = 0xffffffff;
  ask(request, "0xffffffff ranges");
  request = good;
  request.flags = 1;
  ask(request, "a flag");
  request = good;
  request.open_flags = O_RDWR | O_APPEND;
  ask(request, "open flag O_APPEND");
  request.open_flags = O_RDONLY;
  ask(request, "open flags O_RDONLY");

  request = good;
  request.argsz = sizeof(request);
  request.nr_ranges = 2;
  request.ranges[1] = request.ranges[0];
  ask(request, "the same page twice");
  request.ranges[0] = {probe::kPage, probe::kPage};
  ask(request, "two ranges, the second before the first");
  request.ranges[0] = {~0ULL - 4095, 2 * probe::kPage};
  request.ranges[1] = {0, 100};
  ask(request, "two ranges, the first wraps, the second has length 100");
  request.ranges[0] = request.ranges[1] = {0, 1ULL << 63U};
  ask(request, "two ranges, too long together");
  ask_range(bar.index, 0, 1ULL << 63U, "length 2^63");
  ask_range(bar.index, ~0ULL - 0xffff, probe::kPage, "offset that wraps with the BAR's address");
  ask_unreadable(bar.index, "ranges that cannot be read");
  ask_unreadable(1000, "ranges that cannot be read, region 1000");
}
