// What tests/scenario/oracle does not ask about the calls of a type 1 container:
// answers that cannot be copied out, and how the calls are listed and printed.

#include <set>

#include "entry/describe.h"
#include "entry/support.h"
#include "unit/entry/argument_of.h"
#include "unit/machine/make_machine.h"

namespace teeio::entry {
namespace {

using machine::test::error_of;
using machine::test::make_machine;
using machine::test::Vmm;

struct ContainerTest : testing::Test {
  ContainerTest() {
    vmm.iommufd = *vmm.open("/dev/iommu");
    abi::iommu_ioas_alloc alloc{};
    alloc.size = sizeof(alloc);
    EXPECT_TRUE(vmm.ioctl(vmm.iommufd, IOMMU_IOAS_ALLOC, alloc).has_value());
    abi::iommu_vfio_ioas set{};
    set.size = sizeof(set);
    set.ioas_id = alloc.out_ioas_id;
    set.op = abi::IOMMU_VFIO_IOAS_SET;
    EXPECT_TRUE(vmm.ioctl(vmm.iommufd, IOMMU_VFIO_IOAS, set).has_value());
  }
  std::unique_ptr<machine::Machine> machine = make_machine();
  Vmm vmm{*machine};
};

TEST_F(ContainerTest, InfoThatCannotBeCopiedOutIsEfault) {
  // Only what is read lies in memory.
  const std::uint32_t argsz = sizeof(abi::vfio_iommu_type1_info);
  const std::uint64_t at =
      vmm.memory().map(kPageSize) + kPageSize - offsetof(abi::vfio_iommu_type1_info, cap_offset);
  ASSERT_TRUE(vmm.memory().write(at, bytes_of(argsz)).has_value());
  EXPECT_EQ(error_of(vmm.ioctl(vmm.iommufd, VFIO_IOMMU_GET_INFO, at)), Errno::kFault);
}

TEST_F(ContainerTest, CallsArePrintedWithTheirFields) {
  abi::vfio_iommu_type1_dma_map map{};
  map.argsz = sizeof(map);
  map.flags = 3;
  map.vaddr = 0x7000;
  map.iova = 0x10000;
  map.size = 0x2000;
  const std::uint64_t at = vmm.memory().map(kPageSize);
  ASSERT_TRUE(vmm.memory().write(at, bytes_of(map)).has_value());
  EXPECT_EQ(describe_argument(vmm.memory(), test::argument_of("VFIO_IOMMU_MAP_DMA"), at),
            "{flags=VFIO_DMA_MAP_FLAG_READ|VFIO_DMA_MAP_FLAG_WRITE, vaddr=0x7000, iova=0x10000, "
            "size=0x2000}");
  EXPECT_EQ(
      describe_argument(vmm.memory(), test::argument_of("VFIO_SET_IOMMU"), VFIO_TYPE1v2_IOMMU),
      "VFIO_TYPE1v2_IOMMU");
}

TEST(SupportTable, HasEachNumberOnceOnAFileInEveryProfile) {
  for (const abi::AbiProfile profile : abi::kAbiProfiles) {
    std::set<std::pair<object::FileKind, std::uint32_t>> seen;
    for (const SupportRow& row : support_table(profile)) {
      EXPECT_TRUE(seen.emplace(row.kind, row.command).second)
          << abi::profile_name(profile) << ' ' << row.name;
      EXPECT_EQ(row.support == Support::kComplete, row.why.empty()) << row.name;
    }
  }
}

}  // namespace
}  // namespace teeio::entry
