#include "fixture.h"

namespace teeio::vtd {
namespace {

using test::DriverTest;

constexpr Hpa kTo{0x200'0000'0000};
constexpr std::uint64_t k2M = std::uint64_t{1} << 21U;

class VtdDirtyDomainTest : public DriverTest {};

TEST_F(VtdDirtyDomainTest, WhatDmaHasWrittenIsToldUntilItIsCleared) {
  auto tracked = domain(true);
  ASSERT_TRUE(tracked->map(Iova{0x10'0000}, kTo, 0x10'0000, Prot::kReadWrite).has_value());
  ASSERT_TRUE(tracked->dirty_tracking()->set_dirty_tracking(true).has_value());
  ASSERT_TRUE(driver->attach(1, *tracked).has_value());
  ASSERT_TRUE(reach(Iova{0x10'0000}));
  EXPECT_EQ(dirty(*tracked, kClear), Ranges{}) << "a read";
  for (const std::uint64_t page : {1U, 2U, 3U, 9U, 31U})
    ASSERT_TRUE(write(Iova{0x10'0000 + page * kPageSize}));
  const Ranges expected{{0x10'1000, 0x3000}, {0x10'9000, 0x1000}, {0x11'f000, 0x1000}};
  EXPECT_EQ(dirty(*tracked, kKeep), expected);
  EXPECT_EQ(dirty(*tracked, kKeep, 0x10'2000, 0x1000), (Ranges{{0x10'2000, 0x1000}}));
  EXPECT_EQ(dirty(*tracked, kClear), expected);
  EXPECT_EQ(dirty(*tracked, kClear), Ranges{});
  ASSERT_TRUE(write(Iova{0x10'2000}));
  EXPECT_EQ(dirty(*tracked, kClear), (Ranges{{0x10'2000, 0x1000}})) << "the cache was flushed";
  driver->detach(1);
}

TEST_F(VtdDirtyDomainTest, TrackingBeginsAndEndsWhileDmaRuns) {
  auto tracked = domain(true);
  ASSERT_TRUE(tracked->map(Iova{0x1000}, kTo, 0x2000, Prot::kReadWrite).has_value());
  ASSERT_TRUE(driver->attach(1, *tracked).has_value());
  ASSERT_TRUE(write(Iova{0x1000}));
  EXPECT_EQ(dirty(*tracked, kClear), Ranges{}) << "nobody tracks";
  ASSERT_TRUE(tracked->dirty_tracking()->set_dirty_tracking(true).has_value());
  ASSERT_TRUE(write(Iova{0x1000}));
  EXPECT_EQ(dirty(*tracked, kClear), (Ranges{{0x1000, 0x1000}})) << "although it was cached";
  ASSERT_TRUE(tracked->dirty_tracking()->set_dirty_tracking(false).has_value());
  ASSERT_TRUE(write(Iova{0x2000}));
  EXPECT_EQ(dirty(*tracked, kClear), Ranges{});
  driver->detach(1);
}

TEST_F(VtdDirtyDomainTest, ALargePageIsDirtyAsAWhole) {
  auto tracked = domain(true);
  ASSERT_TRUE(tracked->map(Iova{k2M}, kTo, 2 * k2M, Prot::kReadWrite).has_value());
  ASSERT_TRUE(tracked->dirty_tracking()->set_dirty_tracking(true).has_value());
  ASSERT_TRUE(driver->attach(1, *tracked).has_value());
  ASSERT_TRUE(write(Iova{k2M + 0x5000}));
  EXPECT_EQ(dirty(*tracked, kKeep, k2M + 0x1000, 0x2000), (Ranges{{k2M + 0x1000, 0x2000}}));
  EXPECT_EQ(dirty(*tracked, kClear), (Ranges{{k2M, k2M}}));
  driver->detach(1);
}

TEST_F(VtdDirtyDomainTest, AnUnmappedPageIsCleanWhenItComesBack) {
  auto tracked = domain(true);
  ASSERT_TRUE(tracked->dirty_tracking()->set_dirty_tracking(true).has_value());
  ASSERT_TRUE(driver->attach(1, *tracked).has_value());
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE(tracked->map(Iova{0x1000}, kTo, 0x1000, Prot::kReadWrite).has_value());
    EXPECT_EQ(dirty(*tracked, kKeep), Ranges{});
    ASSERT_TRUE(write(Iova{0x1000}));
    EXPECT_EQ(dirty(*tracked, kKeep), (Ranges{{0x1000, 0x1000}}));
    EXPECT_EQ(tracked->unmap(Iova{0x1000}, 0x1000), 0x1000U);
  }
  driver->detach(1);
}

TEST_F(VtdDirtyDomainTest, OnlyADomainMadeForItTracks) {
  EXPECT_EQ(domain()->dirty_tracking(), nullptr);
  EXPECT_TRUE(driver->tracks_dirty(1));
  hw::VtdIommu other(memory, trace, 1);
  auto stand_in = *Driver::create(memory, other, DefaultDomain::kTranslated, Model::kStandIn);
  EXPECT_FALSE(stand_in->tracks_dirty(1));
  const auto refused = stand_in->alloc_paging_domain(iommu::PagingRequest{.dirty_tracking = true});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errno::kOpNotSupp);
}

}  // namespace
}  // namespace teeio::vtd
