// What IOAS_MAP refuses, on an address space without devices.
#include "probe.h"

namespace {

constexpr std::uint32_t kReadWrite = IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE;
constexpr std::uint32_t kFixed = IOMMU_IOAS_MAP_FIXED_IOVA | kReadWrite;

struct Space {
  int iommufd;
  std::uint32_t ioas;
  std::uint64_t memory;

  void map(const char* what, std::uint32_t flags, std::uint64_t va, std::uint64_t length,
           std::uint64_t iova) const {
    iommu_ioas_map arg = {};
    arg.size = sizeof(arg);
    arg.flags = flags;
    arg.ioas_id = ioas;
    arg.user_va = va;
    arg.length = length;
    arg.iova = iova;
    probe::say(probe::call(iommufd, IOMMU_IOAS_MAP, arg), "%s", what);
  }
};

}  // namespace

int main() {
  Space space = {probe::open_iommufd(), 0, probe::address_of(probe::pages(4))};
  space.ioas = probe::alloc_ioas(space.iommufd);
  const std::uint64_t va = space.memory;

  space.map("unknown flag", kFixed | 8, va, 4096, 0x10000);
  space.map("neither readable nor writeable", IOMMU_IOAS_MAP_FIXED_IOVA, va, 4096, 0x10000);
  space.map("length 0", kFixed, va, 0, 0x10000);
  space.map("length 1", kFixed, va, 1, 0x10000);
  space.map("odd iova", kFixed, va, 4096, 0x30001);
  space.map("odd va, same offset in the page", kFixed, va + 1, 4095, 0x40001);
  space.map("odd va, another offset in the page", kFixed, va + 1, 4095, 0x50002);
  space.map("4096 bytes", kFixed, va, 4096, 0x20000);
  space.map("again", kFixed, va, 4096, 0x20000);
  space.map("overlap by a byte", kFixed, va, 4096, 0x20fff);
  space.map("end of the iova space", kFixed, va, 4096, ~0ULL - 4095);
  space.map("iova wraps", kFixed, va, 8192, ~0ULL - 4095);
  space.map("length wraps", kFixed, va, ~0ULL, 4096);
  space.map("va wraps", kFixed, ~0ULL - 4095, 8192, 0x60000);
  space.map("va of the kernel", kFixed, 0xffff800000000000ULL, 4096, 0x70000);
  space.map("va that is not mapped", kFixed, 0x1000, 4096, 0x80000);
  space.map("va that runs out of memory", kFixed, va + 3 * 4096, 1 << 30, 0x90000);

  const std::uint32_t right = space.ioas;
  space.ioas = right + 5;
  space.map("no such IOAS", kFixed, va, 4096, 0x10000);
  space.ioas = right;
  iommu_ioas_map arg = {sizeof(arg), kFixed, right, 1, va, 4096, 0x10000};
  probe::say(probe::call(space.iommufd, IOMMU_IOAS_MAP, arg), "reserved word set");
  arg.__reserved = 0;
  arg.size = sizeof(arg) - 8;
  probe::say(probe::call(space.iommufd, IOMMU_IOAS_MAP, arg), "size without the iova");
}
