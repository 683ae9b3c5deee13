// IOAS_IOVA_RANGES of an address space without devices, and of one with.
#include "probe.h"

namespace {

iommu_iova_range ranges[8];

iommu_ioas_iova_ranges ask(int iommufd, std::uint32_t ioas, std::uint32_t room, const char* what) {
  iommu_ioas_iova_ranges arg = {};
  arg.size = sizeof(arg);
  arg.ioas_id = ioas;
  arg.num_iovas = room;
  arg.allowed_iovas = probe::address_of(ranges);
  probe::say(probe::call(iommufd, IOMMU_IOAS_IOVA_RANGES, arg), "%s", what);
  return arg;
}

void print(const iommu_ioas_iova_ranges& arg) {
  printf("  %u ranges, alignment %llu\n", arg.num_iovas, arg.out_iova_alignment);
  for (std::uint32_t i = 0; i < arg.num_iovas; ++i) {
    printf("  0x%llx to 0x%llx\n", ranges[i].start, ranges[i].last);
  }
}

}  // namespace

int main() {
  const int iommufd = probe::open_iommufd();
  const std::uint32_t ioas = probe::alloc_ioas(iommufd);
  print(ask(iommufd, ioas, 8, "no device, room for 8"));
  const iommu_ioas_iova_ranges counted = ask(iommufd, ioas, 0, "room for none");
  printf("  %u ranges, alignment %llu\n", counted.num_iovas, counted.out_iova_alignment);
  ask(iommufd, ioas + 7, 8, "no such IOAS");

  iommu_ioas_iova_ranges arg = {};
  arg.size = sizeof(arg);
  arg.ioas_id = ioas;
  arg.__reserved = 1;
  probe::say(probe::call(iommufd, IOMMU_IOAS_IOVA_RANGES, arg), "reserved word set");
  arg.__reserved = 0;
  arg.num_iovas = 8;
  arg.allowed_iovas = 0x1000;
  probe::say(probe::call(iommufd, IOMMU_IOAS_IOVA_RANGES, arg), "array that cannot be written");

  const int device = probe::open_device();
  std::uint32_t devid = 0;
  if (probe::bind(device, iommufd, &devid) != 0) probe::give_up("bind");
  ask(iommufd, devid, 8, "id of a device");
  probe::say(probe::attach(device, ioas), "attach a device");
  const iommu_ioas_iova_ranges attached = ask(iommufd, ioas, 8, "with a device");
  printf("  %u ranges, alignment %llu\n", attached.num_iovas, attached.out_iova_alignment);
  printf("  the first is 0x%llx to 0x%llx\n", ranges[0].start, ranges[0].last);
  printf("  the second starts at 0x%llx\n", ranges[1].start);
  probe::say_if(ranges[attached.num_iovas - 1].last < ~0ULL, "  the last has an end");
}
