#include "host/iommu/vtd/driver.h"

#include <gtest/gtest.h>

#include "object/trace.h"

namespace teeio::vtd {
namespace {

constexpr Bdf kNic{0, 1, 0, 0};
constexpr Bdf kFar{0, 1, 31, 7};  // the upper half of the bus
constexpr std::uint64_t k2M = std::uint64_t{1} << 21U;
constexpr std::uint64_t k1G = std::uint64_t{1} << 30U;

class VtdDriverTest : public testing::Test {
 protected:
  std::optional<Hpa> reach(Bdf function, Iova iova, hw::DmaAccess access = hw::DmaAccess::kRead) {
    const auto found = iommu.translate(function.rid(), hw::TBit::kShared, iova, access);
    return found.has_value() ? std::optional(found->address) : std::nullopt;
  }
  std::unique_ptr<Driver> make(DefaultDomain domain = DefaultDomain::kTranslated) {
    return *Driver::create(memory, iommu, domain);
  }

  hw::PhysicalMemory memory{std::uint64_t{64} << 20U};
  object::Trace trace;
  hw::VtdIommu iommu{memory, trace, 0};
  int owner = 0;
};

TEST_F(VtdDriverTest, AttachedDomainIsWhatDmaGoesThrough) {
  auto driver = make();
  ASSERT_TRUE(driver->probe(kNic, 3).has_value());
  ASSERT_TRUE(driver->probe(kFar, 4).has_value());
  auto domain = *driver->alloc_paging_domain(Domain::Kind::kPlain);
  ASSERT_TRUE(domain->map(Iova{0x5000}, Hpa{0x1'0003'0000}, 0x3000, Prot::kReadWrite).has_value());
  ASSERT_TRUE(driver->claim_dma_owner(3, &owner).has_value());
  EXPECT_FALSE(reach(kNic, Iova{0x5000}));
  driver->attach(3, *domain);
  EXPECT_EQ(reach(kNic, Iova{0x6010}), Hpa{0x1'0003'1010});
  EXPECT_FALSE(reach(kNic, Iova{0x8000}));
  EXPECT_FALSE(reach(kFar, Iova{0x5000})) << "another group is not affected";
  driver->detach(3);
  EXPECT_FALSE(reach(kNic, Iova{0x6010}));
  driver->release_dma_owner(3);
}

TEST_F(VtdDriverTest, UnmapStopsDmaThatTheIotlbHadCached) {
  auto driver = make();
  ASSERT_TRUE(driver->probe(kFar, 4).has_value());
  auto domain = *driver->alloc_paging_domain(Domain::Kind::kPlain);
  ASSERT_TRUE(driver->claim_dma_owner(4, &owner).has_value());
  driver->attach(4, *domain);
  ASSERT_TRUE(domain->map(Iova{0x1000}, Hpa{0x1'0003'0000}, 0x2000, Prot::kRead).has_value());
  EXPECT_TRUE(reach(kFar, Iova{0x1000}));
  EXPECT_FALSE(reach(kFar, Iova{0x1000}, hw::DmaAccess::kWrite)) << "mapped for reading";
  EXPECT_EQ(domain->unmap(Iova{0x1000}, 0x1000), 0x1000U);
  EXPECT_FALSE(reach(kFar, Iova{0x1000}));
  EXPECT_TRUE(reach(kFar, Iova{0x2000}));
  driver->detach(4);
}

TEST_F(VtdDriverTest, ANestParentRefusesMappingsWithoutWriteAccess) {
  auto driver = make();
  ASSERT_TRUE(driver->probe(kNic, 1).has_value());
  auto domain = *driver->alloc_paging_domain(Domain::Kind::kNestParent);
  ASSERT_TRUE(driver->claim_dma_owner(1, &owner).has_value());
  driver->attach(1, *domain);
  const auto refused = domain->map(Iova{0}, Hpa{0x1'0000'0000}, 0x1000, Prot::kRead);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errno::kInval);
  EXPECT_FALSE(reach(kNic, Iova{0}));
  ASSERT_TRUE(domain->map(Iova{0}, Hpa{0x1'0000'0000}, 0x1000, Prot::kReadWrite).has_value());
  EXPECT_TRUE(reach(kNic, Iova{0}, hw::DmaAccess::kWrite));
  driver->detach(1);
}

TEST_F(VtdDriverTest, LargePagesAreUsedWhereBothAddressesAllow) {
  auto driver = make();
  auto domain = *driver->alloc_paging_domain(Domain::Kind::kPlain);
  const std::uint64_t before = memory.pages_in_use();
  ASSERT_TRUE(
      domain->map(Iova{k1G}, Hpa{0x200'0000'0000}, k1G + 3 * k2M, Prot::kReadWrite).has_value());
  // 1 GiB as one entry, 6 MiB as three of a new level-1 table under a level-2.
  EXPECT_EQ(memory.pages_in_use() - before, 2U);
  EXPECT_EQ(domain->translate(Iova{k1G + 0x1234567}), Hpa{0x200'0123'4567});
  EXPECT_EQ(domain->translate(Iova{2 * k1G + k2M}), Hpa{0x200'4020'0000});
  EXPECT_EQ(domain->unmap(Iova{k1G}, k1G + 3 * k2M), k1G + 3 * k2M);
  EXPECT_EQ(memory.pages_in_use(), before) << "empty tables are given back";
}

TEST_F(VtdDriverTest, MisalignedMemoryTakesSmallPages) {
  auto driver = make();
  auto domain = *driver->alloc_paging_domain(Domain::Kind::kPlain);
  ASSERT_TRUE(domain->map(Iova{k2M}, Hpa{0x1'0000'1000}, 2 * k2M, Prot::kReadWrite).has_value());
  EXPECT_EQ(domain->translate(Iova{k2M + 0x3fff}), Hpa{0x1'0000'4fff});
  EXPECT_EQ(domain->unmap(Iova{k2M + 0x1000}, 0x1000), 0x1000U) << "small pages can be cut";
  EXPECT_FALSE(domain->translate(Iova{k2M + 0x1000}));
  EXPECT_TRUE(domain->translate(Iova{k2M + 0x2000}));
}

TEST_F(VtdDriverTest, TheLastIovaOfTheApertureCanBeMapped) {
  auto driver = make();
  auto domain = *driver->alloc_paging_domain(Domain::Kind::kPlain);
  const Iova top{domain->last_iova() - 0xfff};
  ASSERT_TRUE(domain->map(top, Hpa{0x1'0000'0000}, 0x1000, Prot::kReadWrite).has_value());
  EXPECT_EQ(domain->translate(top), Hpa{0x1'0000'0000});
  EXPECT_EQ(domain->unmap(top, 0x1000), 0x1000U);
}

TEST_F(VtdDriverTest, OutOfTableMemoryLeavesNothingMapped) {
  hw::PhysicalMemory small(8 * kPageSize);
  hw::VtdIommu other(small, trace, 1);
  auto driver = *Driver::create(small, other, DefaultDomain::kTranslated);
  auto domain = *driver->alloc_paging_domain(Domain::Kind::kPlain);
  const std::uint64_t before = small.pages_in_use();
  // Needs a table of each level, and a second one below the 1 GiB line.
  std::uint64_t at = 0;
  while (domain->map(Iova{at}, Hpa{0x1'0000'0000}, 0x1000, Prot::kRead).has_value())
    at += std::uint64_t{1} << 39U;
  EXPECT_FALSE(domain->translate(Iova{at}));
  while (at != 0) {
    at -= std::uint64_t{1} << 39U;
    EXPECT_EQ(domain->unmap(Iova{at}, 0x1000), 0x1000U);
  }
  EXPECT_EQ(small.pages_in_use(), before);
}

TEST_F(VtdDriverTest, AGroupHasOneOwnerAtATime) {
  auto driver = make();
  int stranger = 0;
  ASSERT_TRUE(driver->probe(kNic, 9).has_value());
  ASSERT_TRUE(driver->claim_dma_owner(9, &owner).has_value());
  ASSERT_TRUE(driver->claim_dma_owner(9, &owner).has_value());
  EXPECT_EQ(driver->claim_dma_owner(9, &stranger).error().code, Errno::kPerm);
  driver->release_dma_owner(9);
  EXPECT_EQ(driver->claim_dma_owner(9, &stranger).error().code, Errno::kPerm);
  driver->release_dma_owner(9);
  EXPECT_TRUE(driver->claim_dma_owner(9, &stranger).has_value());
  driver->release_dma_owner(9);
}

TEST_F(VtdDriverTest, ReleaseBringsTheDefaultDomainBack) {
  auto driver = make(DefaultDomain::kIdentity);
  ASSERT_TRUE(driver->probe(kNic, 2).has_value());
  EXPECT_EQ(reach(kNic, Iova{0x1'0000'2000}), Hpa{0x1'0000'2000});
  ASSERT_TRUE(driver->claim_dma_owner(2, &owner).has_value());
  EXPECT_FALSE(reach(kNic, Iova{0x1'0000'2000})) << "an owner's device is blocked at first";
  driver->release_dma_owner(2);
  EXPECT_EQ(reach(kNic, Iova{0x1'0000'2000}), Hpa{0x1'0000'2000});
}

TEST_F(VtdDriverTest, ReplacingADomainLeavesNoGapAndNoOldMapping) {
  auto driver = make();
  ASSERT_TRUE(driver->probe(kNic, 2).has_value());
  ASSERT_TRUE(driver->claim_dma_owner(2, &owner).has_value());
  auto first = *driver->alloc_paging_domain(Domain::Kind::kPlain);
  auto second = *driver->alloc_paging_domain(Domain::Kind::kPlain);
  EXPECT_NE(static_cast<Domain&>(*first).id(), static_cast<Domain&>(*second).id());
  ASSERT_TRUE(first->map(Iova{0x1000}, Hpa{0x1'0000'0000}, 0x1000, Prot::kRead).has_value());
  ASSERT_TRUE(second->map(Iova{0x1000}, Hpa{0x1'0001'0000}, 0x1000, Prot::kRead).has_value());
  driver->attach(2, *first);
  EXPECT_EQ(reach(kNic, Iova{0x1000}), Hpa{0x1'0000'0000});
  driver->attach(2, *second);
  EXPECT_EQ(reach(kNic, Iova{0x1000}), Hpa{0x1'0001'0000});
  driver->detach(2);
}

TEST_F(VtdDriverTest, AReleasedFunctionIsBlocked) {
  auto driver = make(DefaultDomain::kIdentity);
  ASSERT_TRUE(driver->probe(kNic, 2).has_value());
  driver->release(kNic);
  EXPECT_FALSE(reach(kNic, Iova{0x1'0000'2000}));
}

// A VF that a program made, on a part of a bus that had none: Linux frees its context table with
// the IOMMU (free_context_table()).
TEST_F(VtdDriverTest, AContextTableStaysAndIsNotLost) {
  auto driver = make(DefaultDomain::kIdentity);
  ASSERT_TRUE(driver->probe(kNic, 2).has_value());
  for (const Bdf function : {Bdf{0, 1, 0x10, 0}, Bdf{0, 9, 0, 1}}) {
    const std::uint64_t before = memory.pages_in_use() - driver->kept_frames();
    ASSERT_TRUE(driver->probe(function, 7).has_value());
    driver->release(function);
    EXPECT_EQ(memory.pages_in_use() - driver->kept_frames(), before);
  }
}

TEST_F(VtdDriverTest, HardwareInformationIsTheRegisters) {
  auto driver = make();
  const auto info = *driver->hw_info(0);
  EXPECT_EQ(info.type, 1U) << "IOMMU_HW_INFO_TYPE_INTEL_VTD";
  Reader reader(info.data);
  EXPECT_EQ(reader.le<std::uint32_t>(), 1U) << "erratum 772415";
  EXPECT_EQ(reader.le<std::uint32_t>(), 0U);
  EXPECT_EQ(reader.le<std::uint64_t>() >> 34U & 3U, 3U) << "2 MiB and 1 GiB pages";
  EXPECT_NE(reader.le<std::uint64_t>() & std::uint64_t{1} << 43U, 0U) << "scalable mode";
  EXPECT_TRUE(reader.ok() && reader.rest().empty());
  EXPECT_TRUE(driver->hw_info(1).has_value());
  EXPECT_EQ(driver->hw_info(2).error().code, Errno::kOpNotSupp);
  EXPECT_EQ(driver->sysfs().device, "dmar0");
}

TEST_F(VtdDriverTest, AStandInShowsNoRegistersAndHasNoErrata) {
  auto driver = *Driver::create(memory, iommu, DefaultDomain::kTranslated, Model::kStandIn);
  for (const std::uint32_t type : {0U, 1U, 2U}) {
    const auto info = *driver->hw_info(type);
    EXPECT_EQ(info.type, iommu::HwInfo::kTypeNone);
    EXPECT_TRUE(info.data.empty());
  }
  EXPECT_EQ(driver->sysfs().device, "iommu0");
  EXPECT_TRUE(driver->sysfs().attributes.empty());
  auto domain = *driver->alloc_paging_domain(Domain::Kind::kNestParent);
  EXPECT_TRUE(domain->map(Iova{0x1000}, Hpa{0x2000}, 0x1000, Prot::kRead).has_value());
}

}  // namespace
}  // namespace teeio::vtd
