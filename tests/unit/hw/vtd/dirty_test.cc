// Accessed and dirty bits of the second stage: set by requests, cleared by software.

#include <gtest/gtest.h>

#include "hw/vtd/vtd_iommu.h"
#include "iommu_tables.h"

namespace teeio::hw {
namespace {

using test::IommuTables;

constexpr std::uint16_t kRid = 0x0100;
constexpr std::uint16_t kDomain = 7;
constexpr Iova kIova{0x4000'0000};
constexpr Hpa kTo{0x2'0000'0000};
constexpr std::uint64_t kAccessed = 1U << 8U;
constexpr std::uint64_t kDirty = 1U << 9U;

class VtdDirtyTest : public testing::Test {
 protected:
  VtdDirtyTest() { iommu.set_root(TBit::kShared, tables.root()); }
  void attach(std::uint64_t bits) {
    tables.attach(kRid, stage, kDomain);
    tables.set(tables.pasid_entry(kRid), tables.get(tables.pasid_entry(kRid)) | bits);
  }
  bool reach(DmaAccess access, Iova address = kIova) {
    return iommu.translate(kRid, TBit::kShared, address, access).has_value();
  }
  std::uint64_t marks(unsigned shift = 12) {
    return tables.get(tables.leaf(stage, kIova, shift)) & (kAccessed | kDirty);
  }
  void clear() {
    const Hpa leaf = tables.leaf(stage, kIova);
    tables.set(leaf, tables.get(leaf) & ~(kAccessed | kDirty));
  }

  PhysicalMemory memory{std::uint64_t{256} * kPageSize};
  object::Trace trace;
  VtdIommu iommu{memory, trace, 0};
  IommuTables tables{memory};
  const Hpa stage = tables.page();
};

TEST_F(VtdDirtyTest, ReadsMarkAnEntryAccessedAndWritesMarkItDirty) {
  attach(IommuTables::kTracksDirty);
  tables.map(stage, kIova, kTo);
  ASSERT_TRUE(reach(DmaAccess::kRead));
  EXPECT_EQ(marks(), kAccessed);
  ASSERT_TRUE(reach(DmaAccess::kWrite)) << "what the read had cached does not hide the write";
  EXPECT_EQ(marks(), kAccessed | kDirty);
  EXPECT_NE(tables.get(stage) & kAccessed, 0U) << "tables above are accessed too";
  EXPECT_EQ(tables.get(stage) & kDirty, 0U) << "and never dirty";
}

TEST_F(VtdDirtyTest, WithoutSsadeNothingIsMarked) {
  attach(0);
  tables.map(stage, kIova, kTo);
  ASSERT_TRUE(reach(DmaAccess::kWrite));
  EXPECT_EQ(marks(), 0U);
}

TEST_F(VtdDirtyTest, ARefusedWriteLeavesThePageClean) {
  attach(IommuTables::kTracksDirty);
  tables.map(stage, kIova, kTo, 12, 1);
  EXPECT_FALSE(reach(DmaAccess::kWrite));
  EXPECT_EQ(marks() & kDirty, 0U);
}

TEST_F(VtdDirtyTest, ALargePageHasOneDirtyBit) {
  attach(IommuTables::kTracksDirty);
  tables.map(stage, kIova, Hpa{0x2'0000'0000}, 21);
  ASSERT_TRUE(reach(DmaAccess::kWrite, kIova + 0x12'3000));
  EXPECT_EQ(marks(21), kAccessed | kDirty);
}

TEST_F(VtdDirtyTest, AClearedBitIsSetAnewOnlyOnceTheCacheHasForgotten) {
  attach(IommuTables::kTracksDirty);
  tables.map(stage, kIova, kTo);
  ASSERT_TRUE(reach(DmaAccess::kWrite));
  clear();
  ASSERT_TRUE(reach(DmaAccess::kWrite));
  EXPECT_EQ(marks(), 0U) << "the cached entry knows the bit as set";
  iommu.invalidate_range(TBit::kShared, kDomain, kIova, kPageSize);
  ASSERT_TRUE(reach(DmaAccess::kWrite));
  EXPECT_EQ(marks(), kAccessed | kDirty);
}

}  // namespace
}  // namespace teeio::hw
