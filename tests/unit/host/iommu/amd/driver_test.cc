#include "host/iommu/amd/driver.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "hw/amd_iommu/registers.h"
#include "object/trace.h"
#include "unit/explore/both_orders.h"

namespace teeio::amdvi {
namespace {

constexpr Bdf kNic{0, 1, 0, 0};
constexpr Bdf kFar{0, 2, 31, 7};
constexpr std::uint64_t k2M = std::uint64_t{1} << 21U;
constexpr std::uint64_t k1G = std::uint64_t{1} << 30U;
constexpr std::uint64_t k512G = std::uint64_t{1} << 39U;

/// Answers nothing: what turns SNP on.
class NoSecureTables final : public hw::SecureSide {
 public:
  std::expected<Entry, hw::SecureRefusal> entry(std::uint16_t) override {
    return std::unexpected(hw::SecureRefusal{hw::SecureRefusal::Kind::kNoEntry, "none"});
  }
  std::expected<hw::KeyId, hw::SecureRefusal> check(const Entry&, Gpa, Hpa,
                                                    hw::DmaAccess) override {
    return std::unexpected(hw::SecureRefusal{hw::SecureRefusal::Kind::kRmp, "none"});
  }
  void request_failed(std::uint16_t) override {}
  [[nodiscard]] std::uint64_t generation() const override { return 0; }
};

class AmdDriverTest : public testing::Test {
 protected:
  std::optional<Hpa> reach(Bdf function, Iova iova, hw::DmaAccess access = hw::DmaAccess::kRead) {
    const auto found = iommu.translate(function.rid(), hw::TBit::kShared, iova, access);
    return found.has_value() ? std::optional(found->address) : std::nullopt;
  }
  std::unique_ptr<Driver> make(DefaultDomain domain = DefaultDomain::kTranslated) {
    return *Driver::create(memory, iommu, domain, 2);
  }

  hw::PhysicalMemory memory{std::uint64_t{64} << 20U};
  object::Trace trace;
  hw::AmdIommu iommu{memory, trace, 0};
  int owner = 0;
};

TEST_F(AmdDriverTest, AttachedDomainIsWhatDmaGoesThrough) {
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
  EXPECT_GE(driver->event_counts()[2], 3U) << "IO_PAGE_FAULT events were read from the log";
}

// AMD IOMMU specification, INVALIDATE_IOMMU_PAGES: with S set the lowest 0 of the address from
// bit 12 on says how much is meant: one power of two around both ends, and no more.
TEST_F(AmdDriverTest, AnInvalidationNamesTheSmallestPowerOfTwo) {
  auto driver = make();
  constexpr std::uint64_t kBase = 0x000f'ffff'ffff'f000;
  const Hpa commands{iommu.read_register(hw::amd::kCommandBase) & kBase};
  const auto queue = [&] { return driver->alloc_paging_domain(Domain::Kind::kPlain); };
  ASSERT_TRUE(driver->probe(kNic, 3).has_value());
  auto domain = *queue();
  ASSERT_TRUE(driver->claim_dma_owner(3, &owner).has_value());
  driver->attach(3, *domain);
  const auto high_of = [&](Iova start, std::uint64_t length) {
    EXPECT_TRUE(domain->map(start, Hpa{0x1'0000'0000}, length, Prot::kReadWrite).has_value());
    const std::uint64_t tail = iommu.read_register(hw::amd::kCommandTail);
    domain->unmap(start, length);
    EXPECT_EQ(*memory.read_u64(commands + tail) >> 60U, 3U) << "INVALIDATE_IOMMU_PAGES";
    return *memory.read_u64(commands + tail + 8);
  };
  constexpr std::uint64_t kTables = 2, kSized = 1;
  EXPECT_EQ(high_of(Iova{0x5000}, 0x1000), 0x5000 | kTables);
  EXPECT_EQ(high_of(Iova{0x4000}, 0x2000), 0x4000 | kSized | kTables) << "8 KiB";
  EXPECT_EQ(high_of(Iova{0x8000}, 0x4000), 0x9000 | kSized | kTables) << "16 KiB";
  EXPECT_EQ(high_of(Iova{0x7000}, 0x2000), 0x7000 | kSized | kTables) << "64 KiB around both";
}

TEST_F(AmdDriverTest, ADriverWithoutMemoryKeepsNone) {
  for (std::size_t left = 0; left < 12; ++left) {
    std::vector<Hpa> taken;
    while (const auto page = memory.alloc_page()) taken.push_back(*page);
    for (std::size_t i = 0; i < left; ++i) {
      memory.free_page(taken.back());
      taken.pop_back();
    }
    const std::uint64_t before = memory.pages_in_use();
    (void)Driver::create(memory, iommu, DefaultDomain::kTranslated, 2);
    EXPECT_EQ(memory.pages_in_use(), before) << left << " pages were free";
    for (const Hpa page : taken) memory.free_page(page);
  }
}

TEST_F(AmdDriverTest, AFunctionThatNobodyProbedIsBlocked) {
  auto driver = make();
  EXPECT_FALSE(reach(kNic, Iova{0x1'0000'2000}));
}

TEST_F(AmdDriverTest, ABusBeyondTheDeviceTableIsRefused) {
  auto driver = make();
  EXPECT_EQ(driver->probe(Bdf{0, 3, 0, 0}, 1).error().code, Errno::kNoDev);
}

TEST_F(AmdDriverTest, UnmapStopsDmaThatTheIotlbHadCached) {
  auto driver = make();
  ASSERT_TRUE(driver->probe(kFar, 4).has_value());
  auto domain = *driver->alloc_paging_domain(Domain::Kind::kPlain);
  ASSERT_TRUE(driver->claim_dma_owner(4, &owner).has_value());
  driver->attach(4, *domain);
  ASSERT_TRUE(domain->map(Iova{0x1000}, Hpa{0x1'0003'1000}, 0x6000, Prot::kRead).has_value());
  for (std::uint64_t at = 0x1000; at < 0x7000; at += 0x1000) EXPECT_TRUE(reach(kFar, Iova{at}));
  EXPECT_FALSE(reach(kFar, Iova{0x1000}, hw::DmaAccess::kWrite)) << "mapped for reading";
  EXPECT_EQ(domain->unmap(Iova{0x1000}, 0x3000), 0x3000U);
  EXPECT_FALSE(reach(kFar, Iova{0x1000}));
  EXPECT_FALSE(reach(kFar, Iova{0x3000}));
  EXPECT_TRUE(reach(kFar, Iova{0x4000}));
  EXPECT_TRUE(reach(kFar, Iova{0x6000}));
  driver->detach(4);
}

TEST_F(AmdDriverTest, UnmapInvalidatesARangeThatCrossesAPowerOfTwo) {
  auto driver = make();
  ASSERT_TRUE(driver->probe(kNic, 4).has_value());
  auto domain = *driver->alloc_paging_domain(Domain::Kind::kPlain);
  ASSERT_TRUE(driver->claim_dma_owner(4, &owner).has_value());
  driver->attach(4, *domain);
  const Iova at{k1G - 0x1000};
  ASSERT_TRUE(domain->map(at, Hpa{0x1'0003'0000}, 0x2000, Prot::kRead).has_value());
  EXPECT_TRUE(reach(kNic, at) && reach(kNic, at + 0x1000));
  EXPECT_EQ(domain->unmap(at, 0x2000), 0x2000U);
  EXPECT_FALSE(reach(kNic, at));
  EXPECT_FALSE(reach(kNic, at + 0x1000));
  driver->detach(4);
}

struct PageCase {
  std::uint64_t size;
  std::uint64_t tables;  ///< below the three levels' top
};
class AmdPageSizes : public AmdDriverTest, public testing::WithParamInterface<PageCase> {};
INSTANTIATE_TEST_SUITE_P(Sizes, AmdPageSizes,
                         testing::Values(PageCase{0x1000, 2}, PageCase{0x4000, 2},
                                         PageCase{0x10'0000, 2}, PageCase{k2M, 1},
                                         PageCase{64 * k2M, 1}, PageCase{k1G, 0},
                                         PageCase{4 * k1G, 0}));

TEST_P(AmdPageSizes, EveryPowerOfTwoIsOnePage) {
  const auto [size, tables] = GetParam();
  auto driver = make();
  ASSERT_TRUE(driver->probe(kNic, 1).has_value());
  auto domain = *driver->alloc_paging_domain(Domain::Kind::kPlain);
  ASSERT_TRUE(driver->claim_dma_owner(1, &owner).has_value());
  driver->attach(1, *domain);
  const std::uint64_t before = memory.pages_in_use();
  const Hpa to{std::uint64_t{2} << 40U};
  ASSERT_TRUE(domain->map(Iova{16 * k1G}, to, size, Prot::kReadWrite).has_value());
  EXPECT_EQ(memory.pages_in_use() - before, tables);
  for (const std::uint64_t offset : {std::uint64_t{0}, size / 2, size - 0x1000}) {
    const auto found = iommu.translate(kNic.rid(), hw::TBit::kShared, Iova{16 * k1G + offset},
                                       hw::DmaAccess::kWrite);
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(found->address, to + offset);
    EXPECT_EQ(found->contiguous_bytes, size - offset);
  }
  EXPECT_FALSE(reach(kNic, Iova{16 * k1G + size}));
  EXPECT_EQ(domain->translate(Iova{16 * k1G + size - 1}), to + (size - 1));
  EXPECT_EQ(domain->unmap(Iova{16 * k1G}, size), size);
  EXPECT_EQ(memory.pages_in_use(), before);
  EXPECT_FALSE(reach(kNic, Iova{16 * k1G + size / 2}));
  driver->detach(1);
}

TEST_F(AmdDriverTest, APageOf512GibIsTwo) {
  auto driver = make();
  auto domain = *driver->alloc_paging_domain(Domain::Kind::kPlain);
  EXPECT_EQ(domain->page_sizes() & k512G, 0U);
  ASSERT_TRUE(domain->map(Iova{0}, Hpa{0}, k512G, Prot::kReadWrite).has_value());
  EXPECT_EQ(domain->translate(Iova{k512G - 1}), Hpa{k512G - 1});
  EXPECT_EQ(domain->unmap(Iova{0}, k512G / 2), k512G / 2);
  EXPECT_TRUE(domain->translate(Iova{k512G / 2}));
  EXPECT_EQ(domain->unmap(Iova{0}, k512G), k512G / 2);
}

TEST_F(AmdDriverTest, TheTableGrowsUnderADeviceThatUsesIt) {
  auto driver = make();
  ASSERT_TRUE(driver->probe(kNic, 1).has_value());
  auto domain = *driver->alloc_paging_domain(Domain::Kind::kPlain);
  ASSERT_TRUE(driver->claim_dma_owner(1, &owner).has_value());
  driver->attach(1, *domain);
  ASSERT_TRUE(domain->map(Iova{0x1000}, Hpa{0x1'0000'1000}, 0x1000, Prot::kRead).has_value());
  EXPECT_EQ(reach(kNic, Iova{0x1000}), Hpa{0x1'0000'1000});
  for (const unsigned shift : {39U, 48U, 57U}) {
    const Iova high{std::uint64_t{1} << shift};
    EXPECT_FALSE(reach(kNic, high));
    ASSERT_TRUE(domain->map(high, Hpa{0x1'0000'2000}, 0x1000, Prot::kRead).has_value());
    EXPECT_EQ(reach(kNic, high), Hpa{0x1'0000'2000}) << shift;
    EXPECT_EQ(reach(kNic, Iova{0x1000}), Hpa{0x1'0000'1000}) << "what it had stays";
  }
  driver->detach(1);
}

TEST_F(AmdDriverTest, TheLastIovaCanBeMapped) {
  auto driver = make();
  ASSERT_TRUE(driver->probe(kNic, 1).has_value());
  auto domain = *driver->alloc_paging_domain(Domain::Kind::kPlain);
  ASSERT_TRUE(driver->claim_dma_owner(1, &owner).has_value());
  driver->attach(1, *domain);
  const Iova top{domain->last_iova() - 0xfff};
  ASSERT_TRUE(domain->map(top, Hpa{0x1'0000'0000}, 0x1000, Prot::kReadWrite).has_value());
  EXPECT_EQ(domain->translate(top), Hpa{0x1'0000'0000});
  EXPECT_EQ(reach(kNic, top), Hpa{0x1'0000'0000});
  EXPECT_EQ(domain->unmap(top, 0x1000), 0x1000U);
  EXPECT_FALSE(reach(kNic, top));
  driver->detach(1);
}

TEST_F(AmdDriverTest, AccessIsNeeded) {
  auto driver = make();
  auto domain = *driver->alloc_paging_domain(Domain::Kind::kNestParent);
  EXPECT_EQ(domain->map(Iova{0}, Hpa{0}, 0x1000, Prot{}).error().code, Errno::kInval);
  EXPECT_TRUE(domain->map(Iova{0}, Hpa{0}, 0x1000, Prot::kRead).has_value());
}

TEST_F(AmdDriverTest, OutOfTableMemoryLeavesNothingMapped) {
  hw::PhysicalMemory small(24 * kPageSize);
  hw::AmdIommu other(small, trace, 1);
  auto driver = *Driver::create(small, other, DefaultDomain::kTranslated, 0);
  auto domain = *driver->alloc_paging_domain(Domain::Kind::kPlain);
  std::uint64_t at = 0;
  while (domain->map(Iova{at}, Hpa{0x1'0000'0000}, 0x1000, Prot::kRead).has_value()) at += k1G;
  EXPECT_GT(at, k1G);
  EXPECT_FALSE(domain->translate(Iova{at}));
  while (at != 0) {
    at -= k1G;
    EXPECT_EQ(domain->unmap(Iova{at}, 0x1000), 0x1000U);
  }
  domain.reset();
  driver.reset();
  EXPECT_EQ(small.pages_in_use(), 0U);
  hw::PhysicalMemory tiny(3 * kPageSize);
  hw::AmdIommu none(tiny, trace, 2);
  EXPECT_EQ(Driver::create(tiny, none, DefaultDomain::kTranslated, 0).error().code, Errno::kNoMem);
  EXPECT_EQ(tiny.pages_in_use(), 0U);
}

TEST_F(AmdDriverTest, AGroupHasOneOwnerAtATime) {
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

TEST_F(AmdDriverTest, ReleaseBringsTheDefaultDomainBack) {
  auto driver = make(DefaultDomain::kIdentity);
  ASSERT_TRUE(driver->probe(kNic, 2).has_value());
  EXPECT_EQ(reach(kNic, Iova{0x1'0000'2000}), Hpa{0x1'0000'2000});
  ASSERT_TRUE(driver->claim_dma_owner(2, &owner).has_value());
  EXPECT_FALSE(reach(kNic, Iova{0x1'0000'2000})) << "an owner's device is blocked at first";
  driver->release_dma_owner(2);
  EXPECT_EQ(reach(kNic, Iova{0x1'0000'2000}), Hpa{0x1'0000'2000});
  driver->release(kNic);
  EXPECT_FALSE(reach(kNic, Iova{0x1'0000'2000}));
}

TEST_F(AmdDriverTest, AnSnpHostHasNoIdentityDomain) {
  NoSecureTables secure;
  iommu.set_secure_side(secure);
  auto driver = make(DefaultDomain::kIdentity);
  ASSERT_TRUE(driver->probe(kNic, 2).has_value());
  EXPECT_FALSE(reach(kNic, Iova{0x1'0000'2000}));
  EXPECT_EQ(driver->event_counts()[1], 0U) << "blocked, and no illegal entry";
}

TEST_F(AmdDriverTest, ReplacingADomainLeavesNoOldMapping) {
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

TEST_F(AmdDriverTest, AManyTimesWrappedCommandBufferGoesOn) {
  auto driver = make();
  auto domain = *driver->alloc_paging_domain(Domain::Kind::kPlain);
  for (unsigned i = 0; i < 1500; ++i) {
    ASSERT_TRUE(domain->map(Iova{0x1000}, Hpa{0x1'0000'0000}, 0x1000, Prot::kRead).has_value());
    ASSERT_EQ(domain->unmap(Iova{0x1000}, 0x1000), 0x1000U);
  }
}

TEST_F(AmdDriverTest, HardwareInformationIsTheFeatureRegisters) {
  auto driver = make();
  const auto info = *driver->hw_info(0);
  EXPECT_EQ(info.type, 4U) << "IOMMU_HW_INFO_TYPE_AMD";
  Reader reader(info.data);
  EXPECT_EQ(reader.le<std::uint64_t>(), iommu.read_register(hw::amd::kExtendedFeatures));
  EXPECT_EQ(reader.le<std::uint64_t>(), iommu.read_register(hw::amd::kExtendedFeatures2));
  EXPECT_TRUE(reader.ok() && reader.rest().empty());
  EXPECT_TRUE(driver->hw_info(4).has_value());
  EXPECT_EQ(driver->hw_info(1).error().code, Errno::kOpNotSupp);
  EXPECT_TRUE(driver->enforces_coherency());
}

TEST_F(AmdDriverTest, InterruptsAndHyperTransportAreReserved) {
  auto driver = make();
  const auto regions = driver->reserved_regions();
  ASSERT_EQ(regions.size(), 2U);
  EXPECT_EQ(regions[0].kind, iommu::ReservedRegion::Kind::kMsi);
  EXPECT_EQ(raw(regions[0].first), 0xfee00000U);
  EXPECT_EQ(regions[1].kind, iommu::ReservedRegion::Kind::kReserved);
  EXPECT_EQ(raw(regions[1].first), 0xfd'0000'0000U);
  EXPECT_EQ(raw(regions[1].last), 0xff'ffff'ffffU);
  const auto shown = driver->sysfs();
  EXPECT_EQ(shown.device, "ivhd0");
  ASSERT_EQ(shown.attributes.size(), 2U);
  EXPECT_EQ(shown.attributes[0].name, "amd-iommu/cap");
  EXPECT_EQ(shown.attributes[1].text, "12000000000840:0\n");
}

struct Seen final : iommu::DirtyTracking::Visitor {
  void dirty(std::uint64_t first, std::uint64_t length) override {
    ranges.emplace_back(first, length);
  }
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
};

TEST_F(AmdDriverTest, WhatDmaHasWrittenIsToldUntilItIsCleared) {
  using Clear = iommu::DirtyTracking::Clear;
  using Ranges = std::vector<std::pair<std::uint64_t, std::uint64_t>>;
  auto driver = make();
  ASSERT_TRUE(driver->probe(kNic, 3).has_value());
  EXPECT_TRUE(driver->tracks_dirty(3));
  auto domain = *driver->alloc_paging_domain(iommu::PagingRequest{.dirty_tracking = true});
  auto plain = *driver->alloc_paging_domain(iommu::PagingRequest{});
  EXPECT_EQ(plain->dirty_tracking(), nullptr);
  EXPECT_EQ(driver->alloc_paging_domain(iommu::PagingRequest{.pasid = true}).error().code,
            Errno::kOpNotSupp);
  // A page of 4 KiB, one of 16 KiB in four entries, one of 2 MiB.
  ASSERT_TRUE(domain->map(Iova{0x3000}, Hpa{0x1'0000'3000}, 0x1000, Prot::kReadWrite).has_value());
  ASSERT_TRUE(domain->map(Iova{0x4000}, Hpa{0x1'0000'4000}, 0x4000, Prot::kReadWrite).has_value());
  ASSERT_TRUE(domain->map(Iova{k2M}, Hpa{0x1'0020'0000}, k2M, Prot::kReadWrite).has_value());
  ASSERT_TRUE(driver->claim_dma_owner(3, &owner).has_value());
  ASSERT_TRUE(driver->attach(3, *domain).has_value());
  const auto dirty = [&](Clear clear, std::uint64_t first = 0, std::uint64_t length = k1G) {
    Seen seen;
    domain->dirty_tracking()->read_dirty(first, length, clear, seen);
    return seen.ranges;
  };
  const auto write = [&](std::uint64_t at) {
    ASSERT_TRUE(reach(kNic, Iova{at}, hw::DmaAccess::kWrite));
  };
  write(0x6000);
  EXPECT_EQ(dirty(Clear::kYes), Ranges{}) << "nobody tracks";
  ASSERT_TRUE(domain->dirty_tracking()->set_dirty_tracking(true).has_value());
  write(0x6000);
  EXPECT_EQ(dirty(Clear::kNo), (Ranges{{0x4000, 0x4000}})) << "although it was cached";
  EXPECT_EQ(dirty(Clear::kNo, 0x5000, 0x1000), (Ranges{{0x5000, 0x1000}}));
  write(0x3000);
  write(k2M + 0x12'3000);
  EXPECT_EQ(dirty(Clear::kYes), (Ranges{{0x3000, 0x5000}, {k2M, k2M}}));
  EXPECT_EQ(dirty(Clear::kYes), Ranges{});
  write(0x3000);
  EXPECT_EQ(dirty(Clear::kYes), (Ranges{{0x3000, 0x1000}})) << "the cache was flushed";
  ASSERT_TRUE(domain->dirty_tracking()->set_dirty_tracking(false).has_value());
  write(0x3000);
  EXPECT_EQ(dirty(Clear::kYes), Ranges{});
  driver->detach(3);
  EXPECT_EQ(domain->unmap(Iova{0}, 2 * k2M), 0x5000 + k2M);
}

// The interrupt comes in the middle of a device's request, and the lock is no scheduling point.
TEST(AmdDriverInEveryOrder, AnEventIsCountedBeforeOrAfterTheCountsAreRead) {
  const auto counted = explore::test::ends([] {
    hw::PhysicalMemory memory{std::uint64_t{64} << 20U};
    object::Trace trace;
    hw::AmdIommu iommu{memory, trace, 0};
    const std::unique_ptr<Driver> driver = *Driver::create(memory, iommu, {}, 2);
    TEEIO_CHECK(driver->probe(kNic, 3).has_value(), "a function has its group");
    std::uint64_t faults = 0;
    explore::test::together(
        [&] {
          (void)iommu.translate(kNic.rid(), hw::TBit::kShared, Iova{0x5000}, hw::DmaAccess::kRead);
        },
        [&] { faults = driver->event_counts()[2]; });
    return static_cast<int>(faults);
  });
  EXPECT_EQ(counted, (std::set<int>{0, 1}));
}

}  // namespace
}  // namespace teeio::amdvi
