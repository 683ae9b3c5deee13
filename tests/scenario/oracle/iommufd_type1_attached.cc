// A type 1 container's calls on /dev/iommu, with a device attached to the IOAS.
#include "probe.h"

namespace {

constexpr std::uint32_t kReadWrite = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;

int iommufd;

long map(std::uint32_t flags, std::uint64_t memory, std::uint64_t iova, std::uint64_t size) {
  vfio_iommu_type1_dma_map arg = {sizeof(arg), flags, memory, iova, size};
  return probe::call(iommufd, VFIO_IOMMU_MAP_DMA, arg);
}

void unmap(const char* what, std::uint64_t iova, std::uint64_t size, std::uint32_t flags = 0) {
  vfio_iommu_type1_dma_unmap arg = {};
  arg.argsz = sizeof(arg);
  arg.flags = flags;
  arg.iova = iova;
  arg.size = size;
  probe::say(probe::call(iommufd, VFIO_IOMMU_UNMAP_DMA, arg), "unmap, %s", what);
  probe::say_value(static_cast<long>(arg.size), "  size is then");
}

std::uint32_t word(const std::byte* at) {
  std::uint32_t value = 0;
  memcpy(&value, at, sizeof(value));
  return value;
}

/// GET_INFO with `argsz` in a buffer of 0xaa; whether nothing was written behind.
bool get_info(std::byte* buffer, std::uint32_t argsz) {
  memset(buffer, 0xaa, probe::kPage);
  memcpy(buffer, &argsz, sizeof(argsz));
  if (ioctl(iommufd, VFIO_IOMMU_GET_INFO, buffer) != 0) probe::give_up("VFIO_IOMMU_GET_INFO");
  for (std::uint32_t at = argsz; at < probe::kPage; ++at)
    if (buffer[at] != std::byte{0xaa}) return false;
  return true;
}

void info(std::byte* buffer) {
  get_info(buffer, 24);
  vfio_iommu_type1_info head;
  memcpy(&head, buffer, sizeof(head));
  const std::uint32_t whole = head.argsz;
  probe::say_value(head.flags, "flags");
  probe::say_value(head.cap_offset, "cap_offset without room");
  probe::say_if((head.iova_pgsizes & 0xfff) == 0, "no page size below 4096");
  probe::say_if((head.iova_pgsizes & 0x1000) != 0, "pages of 4096");
  probe::say_value(whole % 8, "argsz modulo 8");

  // Whatever the room is, nothing is written behind it, and cap_offset appears
  // only when everything fits.
  bool inside = true;
  bool offsets = true;
  bool sizes = true;
  for (std::uint32_t argsz = 16; argsz <= whole + 8; ++argsz) {
    inside = inside && get_info(buffer, argsz);
    memcpy(&head, buffer, sizeof(head));
    sizes = sizes && head.argsz == whole;
    if (argsz >= 20) offsets = offsets && head.cap_offset == (argsz >= whole ? 24U : 0U);
  }
  probe::say_if(inside, "nothing is written behind argsz");
  probe::say_if(sizes, "argsz is always the whole");
  probe::say_if(offsets, "cap_offset is 24 if all fits, else 0");

  // What is there with a byte too little of room: the first capability, linked.
  get_info(buffer, whole - 1);
  printf("first: %#x next %u avail %#x\n", word(buffer + 24), word(buffer + 28), word(buffer + 32));
  probe::say_if(word(buffer + 40) == 0xaaaaaaaa, "the second has no header");
  probe::say_if(word(buffer + 56) != 0xaaaaaaaa, "but its first range");
  get_info(buffer, 40);
  printf("40 bytes: %#x next %u\n", word(buffer + 24), word(buffer + 28));
  get_info(buffer, 39);
  printf("39 bytes: %#x next %#x\n", word(buffer + 24), word(buffer + 28));
  get_info(buffer, 36);
  printf("36 bytes: %#x avail %#x\n", word(buffer + 24), word(buffer + 32));
  get_info(buffer, 35);
  printf("35 bytes: %#x\n", word(buffer + 24));
  get_info(buffer, whole);
  printf("second: %#x next %u\n", word(buffer + 40), word(buffer + 44));
  probe::say_if(whole == 56 + 16 * word(buffer + 48), "argsz fits the count of ranges");
  iommu_iova_range ranges[16] = {};
  iommu_ioas_iova_ranges arg = {};
  arg.size = sizeof(arg);
  arg.num_iovas = 16;
  arg.allowed_iovas = probe::address_of(ranges);
  iommu_vfio_ioas which = {sizeof(which), 0, IOMMU_VFIO_IOAS_GET, 0};
  probe::say(probe::call(iommufd, IOMMU_VFIO_IOAS, which), "GET the IOAS");
  arg.ioas_id = which.ioas_id;
  probe::say(probe::call(iommufd, IOMMU_IOAS_IOVA_RANGES, arg), "IOVA_RANGES");
  probe::say_if(
      arg.num_iovas == word(buffer + 48) && memcmp(ranges, buffer + 56, 16UL * arg.num_iovas) == 0,
      "both name the same ranges");
}

void mappings(std::uint64_t memory) {
  probe::say(map(kReadWrite, memory, 0x10000, 0x4000), "map");
  probe::say(map(kReadWrite, memory, 0x20000, 10), "map 10 bytes");
  probe::say(map(0, memory, 0x20000, 4096), "map, no access");
  probe::say(map(VFIO_DMA_MAP_FLAG_WRITE, memory, 0x20000, 4096), "map, write");
  probe::say(map(kReadWrite, 0x1000, 0x30000, 4096), "map memory that is not there");
  probe::say(map(kReadWrite, memory, 0xfee00000, 4096), "map in the interrupt window");
  unmap("a page of the middle", 0x11000, 0x1000);
  unmap("the first page", 0x10000, 0x1000);
  unmap("from the middle to behind it", 0x12000, 0x8000);
  unmap("half a page", 0x10000, 0x800);
  unmap("all of it", 0x10000, 0x4000);
  unmap("everything", 0, 0, VFIO_DMA_UNMAP_FLAG_ALL);
}

}  // namespace

int main() {
  const probe::BoundDevice bound = probe::open_bound();
  iommufd = bound.iommufd;
  const std::uint32_t ioas = probe::alloc_ioas(iommufd);
  iommu_vfio_ioas set = {sizeof(set), ioas, IOMMU_VFIO_IOAS_SET, 0};
  probe::say(probe::call(iommufd, IOMMU_VFIO_IOAS, set), "SET the IOAS");
  std::byte* buffer = probe::pages(1);
  get_info(buffer, 72);
  std::uint64_t sizes = 0;
  memcpy(&sizes, buffer + 8, sizeof(sizes));
  printf("page sizes without a device: %#lx\n", sizes);
  printf("ranges without a device: %u\n", word(buffer + 48));
  probe::say(probe::attach(bound.device, ioas), "attach");
  info(buffer);

  const std::uint64_t memory = probe::address_of(probe::pages(4));
  probe::say(ioctl(iommufd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "SET_IOMMU type 1v2");
  mappings(memory);
  probe::say(map(kReadWrite, memory, 0x10000, 0x4000), "map");
  probe::say(ioctl(iommufd, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), "SET_IOMMU type 1, mapped");
  unmap("everything", 0, 0, VFIO_DMA_UNMAP_FLAG_ALL);
  probe::say(ioctl(iommufd, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), "SET_IOMMU type 1");
  mappings(memory);
  probe::say(map(kReadWrite, memory, 0x10000, 0x4000), "map small pages");
  iommu_option option = {};
  option.size = sizeof(option);
  option.option_id = IOMMU_OPTION_HUGE_PAGES;
  option.op = IOMMU_OPTION_OP_SET;
  option.object_id = ioas;
  option.val64 = 1;
  probe::say(probe::call(iommufd, IOMMU_OPTION, option), "large pages again");
  unmap("a page of it", 0x10000, 0x1000);
  unmap("all of it", 0x10000, 0x4000);
}
