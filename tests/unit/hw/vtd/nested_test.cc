// A first stage walked over a second one: PGTT 3.

#include <gtest/gtest.h>

#include "hw/vtd/vtd_iommu.h"
#include "iommu_tables.h"

namespace teeio::hw {
namespace {

using test::IommuTables;

constexpr std::uint16_t kRid = 0x0100;
constexpr std::uint16_t kDomain = 7;
constexpr Iova kVa{0x7fff'1234'5000};
constexpr std::uint64_t kGpa = 0x4000'2000;
constexpr std::uint64_t kP = 1, kRw = 2, kUser = 4, kAccessed = 1U << 5U, kDirty = 1U << 6U;
constexpr std::uint64_t kSecondDirty = 1U << 9U;

class VtdNestedTest : public testing::Test {
 protected:
  VtdNestedTest() {
    iommu.set_root(TBit::kShared, tables.root());
    tables.nest(tables.pasid_entry(kRid), second, first_gpa, kDomain);
  }
  /// A frame that the guest has at `gpa`.
  Hpa guest_page(std::uint64_t gpa, std::uint64_t bits = 3) {
    const Hpa frame = tables.page();
    tables.map(second, Iova{gpa}, frame, 12, bits);
    return frame;
  }
  /// The first-stage entry of `address`; its tables are made at `next_gpa_`.
  Hpa first_leaf(Iova address, unsigned shift = 12) {
    Hpa table = first;
    for (unsigned level = 39; level > shift; level -= 9) {
      const Hpa entry = table + (raw(address) >> level & 0x1ffU) * 8;
      if (tables.get(entry) == 0) {
        next_gpa_ += kPageSize;
        frames_[next_gpa_] = guest_page(next_gpa_);
        tables.set(entry, next_gpa_ | kP | kRw | kUser);
      }
      table = frames_.at(tables.get(entry) & 0xf'ffff'ffff'f000);
    }
    return table + (raw(address) >> shift & 0x1ffU) * 8;
  }
  void map(Iova address, std::uint64_t gpa, std::uint64_t bits = kP | kRw | kUser,
           unsigned shift = 12) {
    tables.set(first_leaf(address, shift), gpa | bits | (shift > 12 ? 0x80U : 0U));
  }
  std::expected<Iommu::Translation, IommuFault> go(Iova address,
                                                   DmaAccess access = DmaAccess::kRead) {
    return iommu.translate(kRid, TBit::kShared, address, access);
  }
  std::uint16_t reason(Iova address, DmaAccess access = DmaAccess::kRead) {
    const auto found = go(address, access);
    return found ? std::uint16_t{0} : found.error().reason;
  }

  PhysicalMemory memory{std::uint64_t{512} * kPageSize};
  object::Trace trace;
  VtdIommu iommu{memory, trace, 0};
  IommuTables tables{memory};
  const Hpa second = tables.page();
  std::uint64_t next_gpa_ = 0x10'0000;
  std::map<std::uint64_t, Hpa> frames_;
  const std::uint64_t first_gpa = 0x10'0000;
  const Hpa first = guest_page(first_gpa);
};

TEST_F(VtdNestedTest, AnAddressGoesThroughBothStages) {
  const Hpa frame = guest_page(kGpa);
  map(kVa, kGpa);
  const auto found = go(kVa + 0x123);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->address, frame + 0x123);
  EXPECT_EQ(found->contiguous_bytes, kPageSize - 0x123);
  EXPECT_EQ(found->domain, kDomain);
}

TEST_F(VtdNestedTest, TheSmallerOfTwoPagesIsWhatIsCached) {
  tables.map(second, Iova{0x8000'0000}, Hpa{0x40'0000'0000}, 30);
  map(kVa, 0x8012'3000);
  const auto small = go(kVa + 8);
  ASSERT_TRUE(small.has_value());
  EXPECT_EQ(small->address, Hpa{0x40'0012'3008});
  EXPECT_EQ(small->contiguous_bytes, kPageSize - 8);
  constexpr Iova kLarge{0x1'4000'0000};
  map(kLarge, 0x8000'0000, kP | kRw | kUser, 30);
  const auto large = go(kLarge + 0x1234'5678);
  ASSERT_TRUE(large.has_value());
  EXPECT_EQ(large->address, Hpa{0x40'1234'5678});
  EXPECT_EQ(large->contiguous_bytes, (std::uint64_t{1} << 30U) - 0x1234'5678);
  const Hpa frame = guest_page(0xc000'0000 + 5 * kPageSize);
  constexpr Iova kOverSmall{0x2'0000'0000};
  map(kOverSmall, 0xc000'0000, kP | kRw | kUser, 21);
  const auto over_small = go(kOverSmall + 5 * kPageSize);
  ASSERT_TRUE(over_small.has_value());
  EXPECT_EQ(over_small->address, frame);
  EXPECT_EQ(over_small->contiguous_bytes, kPageSize);
}

TEST_F(VtdNestedTest, TheUpperHalfIsCanonicalAndNothingElse) {
  const Hpa frame = guest_page(kGpa);
  constexpr Iova kUpper{0xffff'8000'0000'1000};
  map(kUpper, kGpa);
  ASSERT_TRUE(go(kUpper).has_value());
  EXPECT_EQ(go(kUpper)->address, frame) << "cached";
  EXPECT_EQ(reason(Iova{0x0000'8000'0000'1000}), 0x80) << "the same low bits, and not canonical";
}

TEST_F(VtdNestedTest, WalksMarkTheGuestsEntries) {
  guest_page(kGpa);
  map(kVa, kGpa);
  ASSERT_TRUE(go(kVa).has_value());
  EXPECT_EQ(tables.get(first_leaf(kVa)) & (kAccessed | kDirty), kAccessed);
  EXPECT_NE(tables.get(first + (raw(kVa) >> 39U & 0x1ffU) * 8) & kAccessed, 0U);
  ASSERT_TRUE(go(kVa, DmaAccess::kWrite).has_value());
  EXPECT_EQ(tables.get(first_leaf(kVa)) & (kAccessed | kDirty), kAccessed | kDirty);
}

TEST_F(VtdNestedTest, DirtyPagesOfTheSecondStageAreTheGuestsTablesToo) {
  tables.nest(tables.pasid_entry(kRid), second, first_gpa, kDomain, IommuTables::kTracksDirty);
  guest_page(kGpa);
  map(kVa, kGpa);
  ASSERT_TRUE(go(kVa, DmaAccess::kWrite).has_value());
  EXPECT_NE(tables.get(tables.leaf(second, Iova{kGpa})) & kSecondDirty, 0U);
  EXPECT_NE(tables.get(tables.leaf(second, Iova{first_gpa})) & kSecondDirty, 0U)
      << "the walk has written an accessed bit there";
}

TEST_F(VtdNestedTest, EachStageRefusesWithItsOwnReason) {
  guest_page(kGpa);
  map(kVa, kGpa, kP | kUser);
  EXPECT_EQ(reason(kVa, DmaAccess::kRead), 0);
  EXPECT_EQ(reason(kVa, DmaAccess::kWrite), 0x85);
  map(kVa + kPageSize, kGpa, kP | kRw);
  EXPECT_EQ(reason(kVa + kPageSize), 0x81);
  EXPECT_EQ(reason(kVa + 2 * kPageSize), 0x71);
  map(kVa + 3 * kPageSize, 0x7000'0000);
  EXPECT_EQ(reason(kVa + 3 * kPageSize), 0x79) << "the second stage has no such page";
  map(kVa + 4 * kPageSize, std::uint64_t{1} << 49U);
  EXPECT_EQ(reason(kVa + 4 * kPageSize), 0x74);
  guest_page(0x5000'0000, 1);
  map(kVa + 5 * kPageSize, 0x5000'0000);
  EXPECT_EQ(reason(kVa + 5 * kPageSize), 0);
  EXPECT_EQ(reason(kVa + 5 * kPageSize, DmaAccess::kWrite), 0x79);
  tables.set(first_leaf(Iova{0x1'0000'0000}, 30), 0x1000 | kP | kRw | kUser | 0x80U);
  EXPECT_EQ(reason(Iova{0x1'0000'0000}), 0x72) << "a page of 1 GiB that is not aligned";
}

TEST_F(VtdNestedTest, TheGuestsTablesNeedTheSecondStageToo) {
  constexpr std::uint64_t kNowhere = 0x6666'0000;
  tables.nest(tables.pasid_entry(kRid), second, kNowhere, kDomain);
  EXPECT_EQ(reason(kVa), 0x75);
  tables.nest(tables.pasid_entry(kRid), second, first_gpa, kDomain);
  iommu.invalidate_function(TBit::kShared, kRid);
  tables.set(first + (raw(kVa) >> 39U & 0x1ffU) * 8, kNowhere | kP | kRw | kUser);
  EXPECT_EQ(reason(kVa), 0x76);
  tables.map(second, Iova{first_gpa}, first, 12, 1);
  tables.set(first + (raw(kVa) >> 39U & 0x1ffU) * 8, (kNowhere + kPageSize) | kP | kRw | kUser);
  EXPECT_EQ(reason(kVa), 0x77) << "an accessed bit that cannot be written";
}

TEST_F(VtdNestedTest, APageIsServedUntilItsOwnInvalidation) {
  const Hpa old = guest_page(kGpa);
  const Hpa fresh = guest_page(kGpa + kPageSize);
  const Hpa other = guest_page(kGpa + 2 * kPageSize);
  map(kVa, kGpa);
  map(kVa + kPageSize, kGpa + 2 * kPageSize);
  ASSERT_EQ(go(kVa)->address, old);
  ASSERT_EQ(go(kVa + kPageSize)->address, other);
  map(kVa, kGpa + kPageSize);
  tables.set(first_leaf(kVa + kPageSize), 0);
  iommu.invalidate_pasid_range(TBit::kShared, kDomain, Pasid{1}, kVa, kVa + (kPageSize - 1));
  iommu.invalidate_pasid_range(TBit::kShared, kDomain + 1, Pasid{0}, kVa, kVa + (kPageSize - 1));
  EXPECT_EQ(go(kVa)->address, old) << "another PASID's and another domain's";
  iommu.invalidate_pasid_range(TBit::kShared, kDomain, Pasid{0}, kVa, kVa + (kPageSize - 1));
  EXPECT_EQ(go(kVa)->address, fresh);
  EXPECT_EQ(go(kVa + kPageSize)->address, other) << "the next page stays";
  iommu.invalidate_pasid(TBit::kShared, kDomain, Pasid{0});
  EXPECT_EQ(reason(kVa + kPageSize), 0x71);
}

TEST_F(VtdNestedTest, ASecondStagesInvalidationEndsWhatWasNestedInIt) {
  const Hpa old = guest_page(kGpa);
  map(kVa, kGpa);
  ASSERT_EQ(go(kVa)->address, old);
  const Hpa fresh = guest_page(kGpa);
  EXPECT_EQ(go(kVa)->address, old);
  iommu.invalidate_range(TBit::kShared, kDomain, Iova{kGpa}, kPageSize);
  EXPECT_EQ(go(kVa)->address, fresh);
}

TEST_F(VtdNestedTest, EveryCommandForgetsWhatIsIts) {
  const Hpa old = guest_page(kGpa);
  map(kVa, kGpa);
  for (const bool all : {false, true}) {
    ASSERT_EQ(go(kVa)->address, old);
    const Hpa fresh = guest_page(kGpa);
    all ? iommu.invalidate_all(TBit::kShared) : iommu.invalidate_domain(TBit::kShared, kDomain);
    EXPECT_EQ(go(kVa)->address, fresh);
    tables.map(second, Iova{kGpa}, old);
    iommu.invalidate_domain(TBit::kShared, kDomain);
  }
}

TEST_F(VtdNestedTest, NeighbouringPagesAreOneRun) {
  tables.map(second, Iova{0x4000'0000}, Hpa{0x2'0000'0000}, 21);
  for (std::uint64_t i = 0; i < 4; ++i) map(kVa + i * kPageSize, 0x4000'0000 + i * kPageSize);
  for (std::uint64_t i = 0; i < 4; ++i)
    ASSERT_TRUE(go(kVa + i * kPageSize, DmaAccess::kWrite).has_value());
  const auto run = iommu.translate_run(kRid, TBit::kShared, kVa, 4 * kPageSize, DmaAccess::kWrite);
  ASSERT_TRUE(run.has_value());
  EXPECT_EQ(run->contiguous_bytes, 4 * kPageSize);
}

TEST_F(VtdNestedTest, TheTrustedSideNestsNothing) {
  iommu.set_root(TBit::kTrusted, tables.root());
  EXPECT_EQ(iommu.translate(kRid, TBit::kTrusted, kVa, DmaAccess::kRead).error().reason, 0x5b);
}

}  // namespace
}  // namespace teeio::hw
