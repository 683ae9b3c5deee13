// Requests with a PASID.

#include <gtest/gtest.h>

#include "hw/vtd/vtd_iommu.h"
#include "iommu_tables.h"

namespace teeio::hw {
namespace {

using test::IommuTables;

constexpr std::uint16_t kRid = 0x0100;
constexpr Iova kIova{0x4000'0000};

class VtdPasidTest : public testing::Test {
 protected:
  VtdPasidTest() { iommu.set_root(TBit::kShared, tables.root()); }
  void attach(std::uint32_t pasid, Hpa stage, std::uint16_t domain) {
    const Hpa entry = tables.pasid_entry(kRid, pasid);
    tables.set(entry + 8, domain);
    tables.set(entry, raw(stage) | IommuTables::kSecondStage);
  }
  std::uint64_t where(std::optional<Pasid> pasid, Iova address = kIova) {
    const auto found =
        iommu.translate(Requester(kRid, pasid), TBit::kShared, address, DmaAccess::kRead);
    return found ? raw(found->address) : found.error().reason;
  }

  PhysicalMemory memory{std::uint64_t{256} * kPageSize};
  object::Trace trace;
  VtdIommu iommu{memory, trace, 0};
  IommuTables tables{memory};
};

TEST_F(VtdPasidTest, EachPasidHasItsOwnTables) {
  const Hpa none = tables.page(), one = tables.page(), far = tables.page();
  tables.map(none, kIova, Hpa{0x2'0000'0000});
  tables.map(one, kIova, Hpa{0x2'0000'1000});
  tables.map(far, kIova, Hpa{0x2'0000'2000});
  attach(0, none, 5);
  attach(1, one, 6);
  attach(0x7fff, far, 7);
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(where(std::nullopt), 0x2'0000'0000U);
    EXPECT_EQ(where(Pasid{0}), 0x2'0000'0000U) << "RID_PASID is 0";
    EXPECT_EQ(where(Pasid{1}), 0x2'0000'1000U);
    EXPECT_EQ(where(Pasid{0x7fff}), 0x2'0000'2000U);
  }
  EXPECT_EQ(where(Pasid{2}), 0x59U) << "no entry";
  EXPECT_EQ(where(Pasid{64}), 0x51U) << "no table";
  EXPECT_EQ(where(Pasid{0x8000}), 0x46U) << "beyond the directory";
}

TEST_F(VtdPasidTest, AContextEntryWithoutPasidsTakesRequestsWithoutOnes) {
  const Hpa stage = tables.page();
  tables.map(stage, kIova, Hpa{0x2'0000'0000});
  tables.attach(kRid, stage, 5);
  EXPECT_EQ(where(std::nullopt), 0x2'0000'0000U);
  EXPECT_EQ(where(Pasid{0}), 0x45U) << "although its entry is cached for others";
}

TEST_F(VtdPasidTest, TheInterruptRangeIsAnAddressAsAnyOther) {
  const Hpa stage = tables.page();
  tables.map(stage, kInterruptRangeStart, Hpa{0x2'0000'0000});
  attach(1, stage, 5);
  EXPECT_EQ(where(Pasid{1}, kInterruptRangeStart), 0x2'0000'0000U);
  EXPECT_EQ(where(std::nullopt, kInterruptRangeStart), 0x87U);
  tables.set(tables.pasid_entry(kRid, 2), IommuTables::kPassThrough);
  EXPECT_EQ(where(Pasid{2}, kIova), raw(kIova));
  EXPECT_EQ(where(Pasid{2}, kInterruptRangeStart), 0x87U) << "pass-through leads nowhere there";
}

TEST_F(VtdPasidTest, APasidsInvalidationLeavesTheOthersCached) {
  const Hpa one = tables.page(), two = tables.page();
  tables.map(one, kIova, Hpa{0x2'0000'0000});
  tables.map(two, kIova, Hpa{0x2'0000'1000});
  attach(1, one, 5);
  attach(2, two, 5);
  attach(3, one, 6);
  EXPECT_EQ(where(Pasid{1}), where(Pasid{3}));
  EXPECT_NE(where(Pasid{2}), 0U);
  for (const std::uint32_t pasid : {1U, 2U, 3U}) tables.set(tables.pasid_entry(kRid, pasid), 0);
  iommu.invalidate_pasid_cache(TBit::kShared, 5, Pasid{1});
  EXPECT_EQ(where(Pasid{1}), 0x59U);
  EXPECT_NE(where(Pasid{2}), 0x59U);
  EXPECT_NE(where(Pasid{3}), 0x59U);
  iommu.invalidate_function(TBit::kShared, kRid);
  EXPECT_EQ(where(Pasid{2}), 0x59U);
  EXPECT_EQ(where(Pasid{3}), 0x59U);
}

TEST_F(VtdPasidTest, NestedPagesOfTwoPasidsAreApart) {
  const Hpa second = tables.page();
  const Hpa tables_of[] = {tables.page(), tables.page()};
  for (std::uint64_t n = 0; n < 2; ++n) {
    const std::uint64_t gpa = 0x1000 + n * 0x1000;
    tables.map(second, Iova{gpa}, tables_of[n]);
    // A page of 1 GiB at once: top table, then its entry in a table of the next level.
    const Hpa middle = tables.page();
    tables.map(second, Iova{0x10'0000 + gpa}, middle);
    tables.set(tables_of[n], (0x10'0000 + gpa) | 7U);
    tables.set(middle + 8, n << 30U | 0x87U);
    tables.nest(tables.pasid_entry(kRid, 1 + static_cast<std::uint32_t>(n)), second, gpa, 9);
  }
  tables.map(second, Iova{0x5000}, Hpa{0x2'0000'0000});
  tables.map(second, Iova{0x4000'5000}, Hpa{0x2'0000'1000});
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(where(Pasid{1}, kIova + 0x5000), 0x2'0000'0000U);
    EXPECT_EQ(where(Pasid{2}, kIova + 0x5000), 0x2'0000'1000U);
  }
}

}  // namespace
}  // namespace teeio::hw
