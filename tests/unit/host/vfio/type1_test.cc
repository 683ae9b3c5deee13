// What a type 1 container maps and unmaps. Rules: Linux drivers/vfio/vfio_iommu_type1.c.

#include "unit/host/vfio/group_vmm.h"

namespace teeio::vfio {
namespace {

using machine::Machine;
using machine::test::error_of;
using machine::test::make_machine;
using namespace test;

constexpr std::uint64_t kRing = 0x10000;
constexpr std::uint64_t kLastPage = ~std::uint64_t{0} - kPageSize + 1;

struct Type1Test : testing::Test {
  void open(std::uint64_t type) {
    ASSERT_TRUE(vmm.open_group(kVfGroup, type).has_value());
    va = vmm.memory().map(16 * kPageSize);
  }
  /// Four pages at `iova` as mappings of one page, two pages and one page.
  void map_three(std::uint64_t iova) {
    ASSERT_TRUE(vmm.map(va, iova, kPageSize).has_value());
    ASSERT_TRUE(vmm.map(va + kPageSize, iova + kPageSize, 2 * kPageSize).has_value());
    ASSERT_TRUE(vmm.map(va + 3 * kPageSize, iova + 3 * kPageSize, kPageSize).has_value());
  }
  /// GET_INFO with room for everything: its bytes.
  Bytes info(std::uint32_t argsz = 512) {
    Bytes bytes(512);
    std::ranges::copy(bytes_of(argsz), bytes.begin());
    const std::uint64_t at = vmm.store(bytes);
    EXPECT_TRUE(vmm.ioctl(vmm.container, VFIO_IOMMU_GET_INFO, at).has_value());
    EXPECT_TRUE(vmm.memory().read(at, bytes).has_value());
    return bytes;
  }
  template <class T>
  static T field(const Bytes& bytes, std::size_t at) {
    T value{};
    std::ranges::copy(ByteView(bytes).subspan(at, sizeof(T)), writable_bytes_of(value).begin());
    return value;
  }
  std::unique_ptr<Machine> machine = make_machine();
  GroupVmm vmm{*machine};
  std::uint64_t va = 0;
};

TEST_F(Type1Test, ExtensionsAreThoseOfTheDriver) {
  vmm.container = *vmm.open("/dev/vfio/vfio");
  const auto check = [this](int extension) {
    return *vmm.ioctl(vmm.container, VFIO_CHECK_EXTENSION, static_cast<std::uint64_t>(extension));
  };
  EXPECT_EQ(*vmm.ioctl(vmm.container, VFIO_GET_API_VERSION, std::uint64_t{0}), 0);
  for (const int there : {VFIO_TYPE1_IOMMU, VFIO_TYPE1v2_IOMMU, VFIO_UNMAP_ALL})
    EXPECT_EQ(check(there), 1) << there;
  for (const int absent :
       {2, VFIO_DMA_CC_IOMMU, 5, 6, 7, VFIO_NOIOMMU_IOMMU, VFIO_UPDATE_VADDR, 11})
    EXPECT_EQ(check(absent), 0) << absent;
  vmm.group = *vmm.open(kVfGroup);
  ASSERT_TRUE(vmm.set_container(vmm.group, vmm.container).has_value());
  ASSERT_TRUE(vmm.ioctl(vmm.container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU).has_value());
  EXPECT_EQ(check(VFIO_UPDATE_VADDR), 1);
  EXPECT_EQ(check(VFIO_DMA_CC_IOMMU), 1);
}

TEST_F(Type1Test, IommuIsSetOnceAndForAGroup) {
  vmm.container = *vmm.open("/dev/vfio/vfio");
  const auto set = [this](std::uint64_t type) {
    return vmm.ioctl(vmm.container, VFIO_SET_IOMMU, type);
  };
  EXPECT_EQ(error_of(set(VFIO_TYPE1_IOMMU)), Errno::kInval);
  for (const std::uint32_t call : {VFIO_IOMMU_GET_INFO, VFIO_IOMMU_MAP_DMA, 0x3b99U})
    EXPECT_EQ(error_of(vmm.ioctl(vmm.container, call, std::uint64_t{0})), Errno::kInval) << call;
  vmm.group = *vmm.open(kVfGroup);
  ASSERT_TRUE(vmm.set_container(vmm.group, vmm.container).has_value());
  EXPECT_EQ(error_of(set(VFIO_NOIOMMU_IOMMU)), Errno::kNoDev);
  EXPECT_EQ(error_of(set(6)), Errno::kNoDev);  // nesting, once
  EXPECT_EQ(error_of(set(VFIO_UNMAP_ALL)), Errno::kInval);
  ASSERT_TRUE(set(VFIO_TYPE1_IOMMU).has_value());
  EXPECT_EQ(error_of(set(VFIO_TYPE1_IOMMU)), Errno::kInval);
  EXPECT_EQ(error_of(vmm.ioctl(vmm.container, 0x3b99, std::uint64_t{0})), Errno::kNoTty);
}

TEST_F(Type1Test, MapsWhatTheDeviceThenReaches) {
  open(VFIO_TYPE1v2_IOMMU);
  vmm.vfio = *vmm.get_device(vmm.group, kVfName);
  ASSERT_TRUE(vmm.map(va, kRing, 2 * kPageSize).has_value());
  EXPECT_EQ(vmm.fill_by_dma(va, kRing, kRing + kPageSize), 0U);
  std::uint64_t filled = 0;
  ASSERT_TRUE(vmm.memory().read(va + kPageSize, writable_bytes_of(filled)).has_value());
  EXPECT_EQ(filled, 0x1122334455667788U);
  ASSERT_TRUE(vmm.map(va + 2 * kPageSize, 0x20000, kPageSize, VFIO_DMA_MAP_FLAG_READ).has_value());
  EXPECT_EQ(vmm.fill_by_dma(va, kRing, 0x20000), 7U);
  EXPECT_EQ(vmm.fill_by_dma(va, kRing, 0x30000), 7U);
  ASSERT_EQ(vmm.unmap(kRing, 2 * kPageSize).value_or(0), 2 * kPageSize);
  EXPECT_EQ(vmm.fill_by_dma(va, kRing, kRing + kPageSize), 2U);
}

TEST_F(Type1Test, MapChecksItsRange) {
  open(VFIO_TYPE1v2_IOMMU);
  constexpr std::uint32_t kVaddr = VFIO_DMA_MAP_FLAG_VADDR;
  EXPECT_EQ(error_of(vmm.map(va, kRing, 0)), Errno::kInval);
  EXPECT_EQ(error_of(vmm.map(va, kRing, kPageSize, 0)), Errno::kInval);
  EXPECT_EQ(error_of(vmm.map(va, kRing, kPageSize, 8)), Errno::kInval);
  EXPECT_EQ(error_of(vmm.map(va, kRing, kPageSize, VFIO_DMA_MAP_FLAG_READ | kVaddr)),
            Errno::kInval);
  EXPECT_EQ(error_of(vmm.map(va + 1, kRing, kPageSize)), Errno::kInval);
  EXPECT_EQ(error_of(vmm.map(va, kRing + 1, kPageSize)), Errno::kInval);
  EXPECT_EQ(error_of(vmm.map(va, kRing, 1)), Errno::kInval);
  EXPECT_EQ(error_of(vmm.map(va, kLastPage, 2 * kPageSize)), Errno::kOverflow);
  EXPECT_EQ(error_of(vmm.map(kLastPage, kRing, 2 * kPageSize)), Errno::kOverflow);
  EXPECT_EQ(error_of(vmm.map(va, kLastPage, kPageSize)), Errno::kInval);   // beyond the tables
  EXPECT_EQ(error_of(vmm.map(va, 0xfee00000, kPageSize)), Errno::kInval);  // interrupts
  EXPECT_EQ(error_of(vmm.map(0x1000, kRing, kPageSize)), Errno::kFault);
  EXPECT_EQ(error_of(vmm.map(va, kRing, kPageSize, kVaddr)), Errno::kNoEnt);
  ASSERT_TRUE(vmm.map(va, kRing, 2 * kPageSize).has_value());
  EXPECT_EQ(error_of(vmm.map(va, kRing + kPageSize, kPageSize)), Errno::kExist);
}

TEST_F(Type1Test, V2UnmapsWholeMappingsOnly) {
  open(VFIO_TYPE1v2_IOMMU);
  map_three(kRing);
  EXPECT_EQ(error_of(vmm.unmap(kRing, 0)), Errno::kInval);
  EXPECT_EQ(error_of(vmm.unmap(kRing + 1, kPageSize)), Errno::kInval);
  EXPECT_EQ(error_of(vmm.unmap(kRing, 2 * kPageSize)), Errno::kInval);  // cuts its end
  EXPECT_EQ(error_of(vmm.unmap(kRing + 2 * kPageSize, 2 * kPageSize)), Errno::kInval);  // its start
  EXPECT_EQ(error_of(vmm.unmap(kLastPage, 2 * kPageSize)), Errno::kOverflow);
  EXPECT_EQ(error_of(vmm.unmap(kRing, kPageSize, 8)), Errno::kInval);
  EXPECT_EQ(vmm.unmap(0x100000, kPageSize).value_or(1), 0U);  // nothing there
  EXPECT_EQ(vmm.unmap(kRing + kPageSize, 3 * kPageSize).value_or(0), 3 * kPageSize);
  EXPECT_EQ(vmm.unmap(0, 0x100000).value_or(0), kPageSize);
}

TEST_F(Type1Test, V1UnmapsMappingsWhoseStartTheRangeHas) {
  open(VFIO_TYPE1_IOMMU);
  map_three(kRing);
  // From the middle of a mapping: success, and nothing happens.
  EXPECT_EQ(vmm.unmap(kRing + 2 * kPageSize, 2 * kPageSize).value_or(1), 0U);
  // A range that ends in the middle takes the whole mapping.
  EXPECT_EQ(vmm.unmap(kRing, 2 * kPageSize).value_or(0), 3 * kPageSize);
  EXPECT_EQ(vmm.unmap(0, 0x100000).value_or(0), kPageSize);
}

TEST_F(Type1Test, UnmapAllTakesNoRange) {
  for (const int type : {VFIO_TYPE1v2_IOMMU, VFIO_TYPE1_IOMMU}) {
    open(static_cast<std::uint64_t>(type));
    map_three(kRing);
    EXPECT_EQ(error_of(vmm.unmap(0, kPageSize, VFIO_DMA_UNMAP_FLAG_ALL)), Errno::kInval);
    EXPECT_EQ(error_of(vmm.unmap(kPageSize, 0, VFIO_DMA_UNMAP_FLAG_ALL)), Errno::kInval);
    EXPECT_EQ(vmm.unmap(0, 0, VFIO_DMA_UNMAP_FLAG_ALL).value_or(0), 4 * kPageSize);
    EXPECT_EQ(vmm.unmap(0, 0, VFIO_DMA_UNMAP_FLAG_ALL).value_or(1), 0U);
    vmm.exit();
  }
}

TEST_F(Type1Test, AddressIsTakenBackAndGivenAnew) {
  open(VFIO_TYPE1v2_IOMMU);
  map_three(kRing);
  constexpr std::uint32_t kTake = VFIO_DMA_UNMAP_FLAG_VADDR, kGive = VFIO_DMA_MAP_FLAG_VADDR;
  EXPECT_EQ(error_of(vmm.map(va, kRing, kPageSize, kGive)), Errno::kInval);  // not taken back
  EXPECT_EQ(vmm.unmap(kRing, kPageSize, kTake).value_or(0), kPageSize);
  EXPECT_EQ(error_of(vmm.unmap(kRing, 4 * kPageSize, kTake)), Errno::kInval);  // the first again
  // A group cannot come meanwhile: its IOMMU might need the address.
  const int other = *vmm.open(kPlainGroup);
  EXPECT_EQ(error_of(vmm.set_container(other, vmm.container)), Errno::kBusy);
  EXPECT_EQ(error_of(vmm.map(va, kRing, 2 * kPageSize, kGive)), Errno::kInval);
  EXPECT_TRUE(vmm.map(va, kRing, kPageSize, kGive).has_value());
  EXPECT_TRUE(vmm.set_container(other, vmm.container).has_value());
  EXPECT_EQ(vmm.unmap(0, 0, kTake | VFIO_DMA_UNMAP_FLAG_ALL).value_or(0), 4 * kPageSize);
  EXPECT_EQ(vmm.unmap(0, 0, VFIO_DMA_UNMAP_FLAG_ALL).value_or(0), 4 * kPageSize);
}

TEST_F(Type1Test, InfoHasACapabilityChain) {
  open(VFIO_TYPE1v2_IOMMU);
  map_three(kRing);
  const Bytes all = info();
  EXPECT_EQ(field<std::uint32_t>(all, 4), 3U);  // PGSIZES, CAPS
  EXPECT_EQ(field<std::uint64_t>(all, 8) & 0xfff000, kPageSize | 0x200000);
  EXPECT_EQ(field<std::uint32_t>(all, 16), 24U);
  EXPECT_EQ(field<std::uint16_t>(all, 24), VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION);
  EXPECT_EQ(field<std::uint32_t>(all, 28), 56U);
  EXPECT_EQ(field<std::uint64_t>(all, 40), kPageSize);
  EXPECT_EQ(field<std::uint64_t>(all, 48), std::uint64_t{1} << 28U);
  EXPECT_EQ(field<std::uint16_t>(all, 56), VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL);
  EXPECT_EQ(field<std::uint32_t>(all, 60), 72U);
  EXPECT_EQ(field<std::uint32_t>(all, 64), 65535U - 3);
  EXPECT_EQ(field<std::uint16_t>(all, 72), VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE);
  EXPECT_EQ(field<std::uint32_t>(all, 76), 0U);
  ASSERT_EQ(field<std::uint32_t>(all, 80), 2U);
  EXPECT_EQ(field<std::uint64_t>(all, 88), 0U);
  EXPECT_EQ(field<std::uint64_t>(all, 96), 0xfedfffffU);
  EXPECT_EQ(field<std::uint64_t>(all, 104), 0xfef00000U);
  // Without room: how much it takes, and no offset.
  const Bytes little = info(24);
  EXPECT_EQ(field<std::uint32_t>(little, 0), 120U);
  EXPECT_EQ(field<std::uint32_t>(little, 16), 0U);
  EXPECT_EQ(field<std::uint32_t>(little, 24), 0U);
}

TEST_F(Type1Test, GroupThatComesLaterSeesTheMappings) {
  open(VFIO_TYPE1v2_IOMMU);
  map_three(kRing);
  const int other = *vmm.open(kPlainGroup);
  ASSERT_TRUE(vmm.set_container(other, vmm.container).has_value());
  // The last group takes them along, not the first.
  ASSERT_TRUE(vmm.ioctl(vmm.group, VFIO_GROUP_UNSET_CONTAINER, std::uint64_t{0}).has_value());
  EXPECT_EQ(vmm.unmap(kRing, kPageSize).value_or(0), kPageSize);
  ASSERT_TRUE(vmm.ioctl(other, VFIO_GROUP_UNSET_CONTAINER, std::uint64_t{0}).has_value());
  EXPECT_EQ(error_of(vmm.unmap(kRing + kPageSize, 2 * kPageSize)), Errno::kInval);  // no IOMMU
  ASSERT_TRUE(vmm.set_container(other, vmm.container).has_value());
  ASSERT_TRUE(vmm.ioctl(vmm.container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU).has_value());
  EXPECT_EQ(vmm.unmap(kRing + kPageSize, 2 * kPageSize).value_or(1), 0U);
}

// --- Dirty pages ---

struct Dirty {
  std::uint32_t argsz = sizeof(Dirty), flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP;
  std::uint64_t iova = 0, size = 0, page_size = kPageSize, bytes = 8, bitmap = 0;
};

TEST_F(Type1Test, EverythingMappedIsDirtyWhileItIsTracked) {
  open(VFIO_TYPE1v2_IOMMU);
  map_three(kRing);
  Dirty dirty;
  dirty.iova = kRing - kPageSize;
  dirty.size = 6 * kPageSize;
  dirty.bitmap = vmm.store(Bytes(16, std::byte{0xff}));
  const auto call = [&] { return vmm.ioctl(vmm.container, VFIO_IOMMU_DIRTY_PAGES, dirty); };
  EXPECT_EQ(error_of(call()), Errno::kInval);  // not started
  Dirty start;
  start.flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_START;
  ASSERT_TRUE(vmm.ioctl(vmm.container, VFIO_IOMMU_DIRTY_PAGES, start).has_value());
  ASSERT_TRUE(call().has_value());
  std::uint64_t bits = 0;
  ASSERT_TRUE(vmm.memory().read(dirty.bitmap, writable_bytes_of(bits)).has_value());
  // Of no mapping are bit 0 and those from 5 on: they are as they were.
  EXPECT_EQ(bits, ~std::uint64_t{0});
  dirty.size = 3 * kPageSize;
  EXPECT_EQ(error_of(call()), Errno::kInval);  // cuts a mapping
  dirty.size = 6 * kPageSize;
  dirty.bytes = 4;
  EXPECT_EQ(error_of(call()), Errno::kInval);
  dirty.bytes = 8;
  dirty.page_size = 0x200000;
  EXPECT_EQ(error_of(call()), Errno::kInval);
  dirty.page_size = 0;
  EXPECT_EQ(error_of(call()), Errno::kInval);
  dirty.page_size = kPageSize;
  dirty.bitmap = 0xffff'0000'0000'0000;
  EXPECT_EQ(error_of(call()), Errno::kInval);
  dirty.bitmap = 0x1000;
  EXPECT_EQ(error_of(call()), Errno::kFault);
}

TEST_F(Type1Test, UnmapGivesTheDirtyBitmapOfWhatGoes) {
  open(VFIO_TYPE1v2_IOMMU);
  map_three(kRing);
  struct {
    std::uint32_t argsz = sizeof(*this), flags = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP;
    std::uint64_t iova = kRing, size = 4 * kPageSize, page_size = kPageSize, bytes = 8, bitmap = 0;
  } arg;
  arg.bitmap = vmm.store(Bytes(8));
  EXPECT_EQ(error_of(vmm.ioctl(vmm.container, VFIO_IOMMU_UNMAP_DMA, arg)), Errno::kInval);
  Dirty start;
  start.flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_START;
  ASSERT_TRUE(vmm.ioctl(vmm.container, VFIO_IOMMU_DIRTY_PAGES, start).has_value());
  ASSERT_TRUE(vmm.ioctl(vmm.container, VFIO_IOMMU_UNMAP_DMA, arg).has_value());
  EXPECT_EQ(arg.size, 4 * kPageSize);
  std::uint64_t bits = 0;
  ASSERT_TRUE(vmm.memory().read(arg.bitmap, writable_bytes_of(bits)).has_value());
  EXPECT_EQ(bits, 0xfU);
}

TEST_F(Type1Test, V1HasNoDirtyPages) {
  open(VFIO_TYPE1_IOMMU);
  EXPECT_EQ(error_of(vmm.ioctl(vmm.container, VFIO_IOMMU_DIRTY_PAGES, std::uint64_t{0})),
            Errno::kAcces);
}

}  // namespace
}  // namespace teeio::vfio
