#include "hw/vtd/vtd_iommu.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <utility>

#include "iommu_tables.h"

namespace teeio::hw {
namespace {

using test::IommuTables;

constexpr std::uint16_t kRid = 0x0190;  // 01:12.0: the upper half of a root entry
constexpr std::uint16_t kDomain = 5;
constexpr Iova kIova{0x12'3456'7000};
constexpr KeyId kTd{3};

class IommuTest : public testing::Test {
 protected:
  IommuTest() { iommu.set_root(TBit::kShared, tables.root()); }

  std::uint16_t reason(Iova address, DmaAccess access = DmaAccess::kRead, TBit t = TBit::kShared,
                       std::uint16_t rid = kRid) {
    const auto found = iommu.translate(rid, t, address, access);
    return found ? std::uint16_t{0} : found.error().reason;
  }
  Hpa where(Iova address, TBit t = TBit::kShared) {
    const auto found = iommu.translate(kRid, t, address, DmaAccess::kRead);
    return found ? found->address : Hpa{0};
  }

  PhysicalMemory memory{std::uint64_t{256} * kPageSize};
  object::Trace trace;
  VtdIommu iommu{memory, trace, 0};
  IommuTables tables{memory};
  const Hpa stage = tables.page();
};

TEST_F(IommuTest, OffSharedSidePassesThroughAndOffTrustedSideRefuses) {
  iommu.set_root(TBit::kShared, std::nullopt);
  EXPECT_EQ(where(kIova), Hpa{raw(kIova)});
  EXPECT_EQ(reason(kIova, DmaAccess::kRead, TBit::kTrusted), 0x30);
}

TEST_F(IommuTest, WalksA4KibPage) {
  tables.attach(kRid, stage, kDomain);
  tables.map(stage, kIova, Hpa{0x1'0002'0000});
  const auto found = iommu.translate(kRid, TBit::kShared, kIova + 0x123, DmaAccess::kWrite);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->address, Hpa{0x1'0002'0123});
  EXPECT_EQ(found->contiguous_bytes, kPageSize - 0x123);
  EXPECT_EQ(found->domain, kDomain);
  EXPECT_EQ(found->key, KeyId::kShared);
}

struct LargePage {
  unsigned shift;
  Hpa to;
};
class IommuLargePage : public IommuTest, public testing::WithParamInterface<LargePage> {};
INSTANTIATE_TEST_SUITE_P(Sizes, IommuLargePage,
                         testing::Values(LargePage{21, Hpa{0x1'0020'0000}},
                                         LargePage{30, Hpa{0x2'4000'0000}}));

TEST_P(IommuLargePage, IsWalkedAndThenServedFromTheCache) {
  const auto [shift, to] = GetParam();
  const std::uint64_t size = std::uint64_t{1} << shift;
  tables.attach(kRid, stage, kDomain);
  tables.map(stage, kIova, to, shift);
  const std::uint64_t offset = raw(kIova) & (size - 1);
  for (int i = 0; i < 2; ++i) {
    const auto found = iommu.translate(kRid, TBit::kShared, kIova, DmaAccess::kRead);
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(found->address, to + offset);
    EXPECT_EQ(found->contiguous_bytes, size - offset);
  }
}

// Any address inside a large page takes the whole page out of the IOTLB.
TEST_P(IommuLargePage, RangeInvalidationOfAPartDropsIt) {
  const auto [shift, to] = GetParam();
  tables.attach(kRid, stage, kDomain);
  tables.map(stage, kIova, to, shift);
  ASSERT_NE(where(kIova), Hpa{0});
  tables.set(tables.leaf(stage, kIova, shift), 0);
  iommu.invalidate_range(TBit::kShared, kDomain, kIova + 16 * kPageSize, kPageSize);
  EXPECT_EQ(reason(kIova), 0x79);
}

TEST_P(IommuLargePage, MisalignedAddressIsReserved) {
  const auto [shift, to] = GetParam();
  tables.attach(kRid, stage, kDomain);
  tables.map(stage, kIova, to + kPageSize, shift);
  EXPECT_EQ(reason(kIova), 0x7a);
}

TEST_F(IommuTest, PageOf512GibIsReserved) {
  tables.attach(kRid, stage, kDomain);
  tables.map(stage, kIova, Hpa{0}, 39);
  EXPECT_EQ(reason(kIova), 0x7a);
}

TEST_F(IommuTest, EachMissingTableHasItsReason) {
  EXPECT_EQ(reason(kIova), 0x39);
  (void)tables.context_entry(kRid);
  EXPECT_EQ(reason(kIova), 0x41);
  (void)tables.directory_entry(kRid);
  EXPECT_EQ(reason(kIova), 0x51);
  (void)tables.pasid_entry(kRid);
  EXPECT_EQ(reason(kIova), 0x59);
  tables.attach(kRid, stage, kDomain);
  EXPECT_EQ(reason(kIova), 0x79);
  tables.map(stage, kIova, Hpa{0x1'0002'0000});
  EXPECT_EQ(reason(kIova), 0);
  EXPECT_EQ(iommu.fault_count(), 5U);
  EXPECT_EQ(iommu.last_fault()->reason, 0x79);
}

TEST_F(IommuTest, TableOutsideOfMemoryHasItsReason) {
  constexpr std::uint64_t kNowhere = 0x5000 | 1;
  tables.attach(kRid, Hpa{0x5000}, kDomain);
  EXPECT_EQ(reason(kIova), 0x78);
  tables.set(tables.directory_entry(kRid), kNowhere);
  iommu.invalidate_all(TBit::kShared);
  EXPECT_EQ(reason(kIova), 0x58);
  tables.set(tables.context_entry(kRid), kNowhere);
  EXPECT_EQ(reason(kIova), 0x50);
  tables.set(tables.root() + 16 + 8, kNowhere);
  EXPECT_EQ(reason(kIova), 0x40);
  iommu.set_root(TBit::kShared, Hpa{0x5000});
  EXPECT_EQ(reason(kIova), 0x38);
}

TEST_F(IommuTest, UnknownTranslationTypeOrWidthIsInvalid) {
  tables.attach(kRid, stage, kDomain);
  tables.set(tables.pasid_entry(kRid), raw(stage) | 1U << 6U | 2U << 2U | 1U);
  EXPECT_EQ(reason(kIova), 0x5b);
  tables.set(tables.pasid_entry(kRid), raw(stage) | 2U << 6U | 3U << 2U | 1U);
  EXPECT_EQ(reason(kIova), 0x5b);
}

TEST_F(IommuTest, PassThroughIsIdentityWithADomain) {
  tables.set(tables.pasid_entry(kRid) + 8, kDomain);
  tables.set(tables.pasid_entry(kRid), IommuTables::kPassThrough);
  const auto found = iommu.translate(kRid, TBit::kShared, kIova, DmaAccess::kWrite);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->address, Hpa{raw(kIova)});
  EXPECT_EQ(found->domain, kDomain);
}

TEST_F(IommuTest, AddressBeyond48BitsFaults) {
  tables.attach(kRid, stage, kDomain);
  EXPECT_EQ(reason(Iova{std::uint64_t{1} << 48U}), 0x83);
}

TEST_F(IommuTest, PermissionsOfAllLevelsCount) {
  tables.attach(kRid, stage, kDomain);
  tables.map(stage, kIova, Hpa{0x1'0002'0000}, 12, 1);
  EXPECT_EQ(reason(kIova, DmaAccess::kRead), 0);
  EXPECT_EQ(reason(kIova, DmaAccess::kWrite), 0x79);
  tables.map(stage, kIova, Hpa{0x1'0002'0000}, 12, 3);
  const Hpa top = stage + (raw(kIova) >> 39U) * 8;
  tables.set(top, tables.get(top) & ~std::uint64_t{2});
  EXPECT_EQ(reason(kIova, DmaAccess::kWrite), 0x79);
}

TEST_F(IommuTest, WidenedPermissionNeedsNoInvalidation) {
  tables.attach(kRid, stage, kDomain);
  tables.map(stage, kIova, Hpa{0x1'0002'0000}, 12, 1);
  EXPECT_EQ(reason(kIova, DmaAccess::kRead), 0);
  tables.map(stage, kIova, Hpa{0x1'0002'0000}, 12, 3);
  EXPECT_EQ(reason(kIova, DmaAccess::kWrite), 0);
}

TEST_F(IommuTest, InterruptRangeIsForWritesOnlyAndNeverTranslated) {
  tables.attach(kRid, stage, kDomain);
  tables.map(stage, kInterruptRangeStart, Hpa{0x1'0002'0000});
  EXPECT_EQ(reason(kInterruptRangeStart, DmaAccess::kRead), 0x87);
  EXPECT_EQ(reason(kInterruptRangeLast, DmaAccess::kRead), 0x87);
  const auto found = iommu.translate(kRid, TBit::kShared, kInterruptRangeStart, DmaAccess::kWrite);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->address, Hpa{raw(kInterruptRangeStart)});
  EXPECT_EQ(reason(kInterruptRangeLast + 1, DmaAccess::kRead), 0x79);
}

class IommuStaleness : public IommuTest {
 protected:
  static constexpr Hpa kOld{0x1'0002'0000};
  static constexpr Hpa kNew{0x1'0003'0000};
  IommuStaleness() {
    tables.attach(kRid, stage, kDomain);
    tables.map(stage, kIova, kOld);
    EXPECT_EQ(where(kIova), kOld);
  }
};

TEST_F(IommuStaleness, OldTranslationIsServedUntilItsPageIsInvalidated) {
  tables.map(stage, kIova, kNew);
  EXPECT_EQ(where(kIova), kOld);
  iommu.invalidate_range(TBit::kShared, kDomain, kIova + kPageSize, kPageSize);
  EXPECT_EQ(where(kIova), kOld);
  iommu.invalidate_range(TBit::kTrusted, kDomain, kIova, kPageSize);
  EXPECT_EQ(where(kIova), kOld);
  iommu.invalidate_range(TBit::kShared, kDomain + 1, kIova, kPageSize);
  EXPECT_EQ(where(kIova), kOld);
  iommu.invalidate_range(TBit::kShared, kDomain, kIova, kPageSize);
  EXPECT_EQ(where(kIova), kNew);
}

TEST_F(IommuStaleness, UnmappedPageIsReachableUntilInvalidated) {
  tables.set(tables.leaf(stage, kIova), 0);
  EXPECT_EQ(where(kIova), kOld);
  iommu.invalidate_range(TBit::kShared, kDomain, Iova{0}, std::uint64_t{1} << 48U);
  EXPECT_EQ(reason(kIova), 0x79);
}

TEST_F(IommuStaleness, DomainInvalidationDropsThatDomainOnly) {
  tables.map(stage, kIova, kNew);
  iommu.invalidate_domain(TBit::kShared, kDomain + 1);
  EXPECT_EQ(where(kIova), kOld);
  iommu.invalidate_domain(TBit::kShared, kDomain);
  EXPECT_EQ(where(kIova), kNew);
}

TEST_F(IommuStaleness, PasidEntryIsServedUntilItsFunctionIsInvalidated) {
  const Hpa other = tables.page();
  tables.map(other, kIova, kNew);
  tables.attach(kRid, other, kDomain + 1);
  EXPECT_EQ(where(kIova), kOld);
  iommu.invalidate_function(TBit::kShared, kRid + 1);
  EXPECT_EQ(where(kIova), kOld);
  iommu.invalidate_function(TBit::kShared, kRid);
  EXPECT_EQ(where(kIova), kNew);
}

// The IOTLB is tagged by domain: a domain id that gets other tables needs both.
TEST_F(IommuStaleness, FunctionInvalidationLeavesTheDomainsPages) {
  const Hpa other = tables.page();
  tables.map(other, kIova, kNew);
  tables.attach(kRid, other, kDomain);
  iommu.invalidate_function(TBit::kShared, kRid);
  EXPECT_EQ(where(kIova), kOld);
  iommu.invalidate_domain(TBit::kShared, kDomain);
  EXPECT_EQ(where(kIova), kNew);
}

TEST_F(IommuStaleness, RootTableIsReadAgainOnlyAfterAFullInvalidation) {
  iommu.set_root(TBit::kShared, tables.page());
  EXPECT_EQ(where(kIova), kOld);
  iommu.invalidate_all(TBit::kShared);
  EXPECT_EQ(reason(kIova), 0x39);
}

// A table that changes, and is invalidated, while the walk has just read it.
TEST_F(IommuTest, WalkThatAnInvalidationOvertookIsNotCached) {
  class ChangingTable final : public WindowTarget {
   public:
    Result<void> read(std::uint64_t, std::span<std::byte> out) override {
      const std::uint64_t found = entry;
      std::memcpy(out.data(), &found, sizeof(found));
      if (std::exchange(once, false)) overtake();
      return {};
    }
    Result<void> write(std::uint64_t, ByteView) override { return {}; }
    std::span<std::byte> direct() override { return {}; }
    std::uint64_t entry = 0x1'0002'0000 | 3;
    std::move_only_function<void()> overtake;
    bool once = true;
  };
  ChangingTable table;
  const Hpa leaves = *memory.map_window(table, kPageSize);
  tables.attach(kRid, stage, kDomain);
  tables.set(tables.leaf(stage, kIova, 21), raw(leaves) | 3);
  table.overtake = [&] {
    table.entry = 0x1'0003'0000 | 3;
    iommu.invalidate_range(TBit::kShared, kDomain, kIova, kPageSize);
  };
  EXPECT_EQ(where(kIova), Hpa{0x1'0002'0000});
  EXPECT_EQ(where(kIova), Hpa{0x1'0003'0000});
}

TEST_F(IommuTest, TwoDomainsKeepTheirOwnTranslations) {
  const Hpa other = tables.page();
  tables.attach(kRid, stage, 1);
  tables.attach(kRid + 1, other, 2);
  for (std::uint64_t i = 0; i < 32; ++i) {
    tables.map(stage, kIova + i * kPageSize, Hpa{0x1'0000'0000} + i * kPageSize);
    tables.map(other, kIova + i * kPageSize, Hpa{0x2'0000'0000} + i * kPageSize);
  }
  for (int round = 0; round < 2; ++round)
    for (std::uint64_t i = 0; i < 32; ++i)
      for (std::uint16_t n = 0; n < 2; ++n)
        EXPECT_EQ(iommu
                      .translate(static_cast<std::uint16_t>(kRid + n), TBit::kShared,
                                 kIova + i * kPageSize, DmaAccess::kRead)
                      ->address,
                  Hpa{(n + 1ULL) << 32U} + i * kPageSize);
}

TEST_F(IommuTest, RunJoinsCachedPagesThatFollowEachOtherInMemory) {
  tables.attach(kRid, stage, kDomain);
  for (std::uint64_t n = 0; n < 4; ++n)
    tables.map(stage, kIova + n * kPageSize, Hpa{0x1'0000'0000} + n * kPageSize);
  tables.map(stage, kIova + 4 * kPageSize, Hpa{0x2'0000'0000});
  const auto run = [&](std::uint64_t offset, std::uint64_t size) {
    return iommu.translate_run(kRid, TBit::kShared, kIova + offset, size, DmaAccess::kWrite)
        ->contiguous_bytes;
  };
  EXPECT_EQ(run(0, 8 * kPageSize), kPageSize);
  for (std::uint64_t n = 1; n < 5; ++n) EXPECT_EQ(reason(kIova + n * kPageSize), 0);
  EXPECT_EQ(run(0, 8 * kPageSize), 4 * kPageSize);
  EXPECT_EQ(run(8, 2 * kPageSize), 3 * kPageSize - 8);
  iommu.invalidate_range(TBit::kShared, kDomain, kIova + 2 * kPageSize, kPageSize);
  EXPECT_EQ(run(0, 8 * kPageSize), 2 * kPageSize);
  tables.map(stage, kIova + 2 * kPageSize, Hpa{0x1'0000'2000}, 12, 1);
  EXPECT_EQ(reason(kIova + 2 * kPageSize, DmaAccess::kRead), 0);
  EXPECT_EQ(run(0, 8 * kPageSize), 2 * kPageSize);  // not writable
}

TEST_F(IommuTest, RunIsNotJoinedFromPagesOfASideThatWasTurnedOff) {
  tables.attach(kRid, stage, 0);
  constexpr Iova kEnd{(std::uint64_t{1} << 30U) - kPageSize};
  tables.map(stage, kEnd + kPageSize, Hpa{std::uint64_t{1} << 30U});
  EXPECT_EQ(reason(kEnd + kPageSize), 0);
  iommu.set_root(TBit::kShared, std::nullopt);
  EXPECT_EQ(iommu.translate_run(kRid, TBit::kShared, kEnd, 2 * kPageSize, DmaAccess::kWrite)
                ->contiguous_bytes,
            kPageSize);
}

class IommuTrusted : public IommuTest {
 protected:
  IommuTrusted() {
    iommu.set_root(TBit::kTrusted, trusted.root());
    trusted.attach(kRid, private_stage, kDomain);
    trusted.map(private_stage, kIova, Hpa{0x1'0004'0000});
  }
  IommuTables trusted{memory, KeyId{1}};  // the module's own key
  const Hpa private_stage = trusted.page();
};

TEST_F(IommuTrusted, DomainWithoutKeyIsRefused) {
  EXPECT_EQ(reason(kIova, DmaAccess::kRead, TBit::kTrusted), 0x5b);
}

TEST_F(IommuTrusted, TablesOfAnyKeyAreWalkedAndTheDomainsKeyIsGiven) {
  memory.give_page(private_stage, KeyId{1});
  iommu.set_domain_key(TBit::kTrusted, kDomain, kTd);
  for (int i = 0; i < 2; ++i) {
    const auto found = iommu.translate(kRid, TBit::kTrusted, kIova, DmaAccess::kWrite);
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(found->key, kTd);
  }
  EXPECT_EQ(reason(kIova), 0x39);  // the shared side knows nothing of it
}

TEST_F(IommuTrusted, TakingTheKeyAwayNeedsNoInvalidation) {
  iommu.set_domain_key(TBit::kTrusted, kDomain, kTd);
  ASSERT_EQ(reason(kIova, DmaAccess::kRead, TBit::kTrusted), 0);
  iommu.set_domain_key(TBit::kTrusted, kDomain, KeyId::kShared);
  EXPECT_EQ(reason(kIova, DmaAccess::kRead, TBit::kTrusted), 0x5b);
}

TEST_F(IommuTrusted, PassThroughIsInvalid) {
  trusted.set(trusted.pasid_entry(kRid), IommuTables::kPassThrough);
  EXPECT_EQ(reason(kIova, DmaAccess::kRead, TBit::kTrusted), 0x5b);
}

TEST_F(IommuTrusted, SharedSideCannotWalkTablesInPrivateFrames) {
  tables.attach(kRid, private_stage, kDomain);
  EXPECT_EQ(reason(kIova), 0x78);
}

TEST_F(IommuTest, RepeatedFaultIsTracedOnceUntilSomethingChanges) {
  trace.keep_events(true);
  for (int i = 0; i < 3; ++i) (void)reason(kIova);
  ASSERT_EQ(trace.events().size(), 1U);
  EXPECT_TRUE(trace.events().front().refused);
  EXPECT_EQ(trace.events().front().function, Bdf::from_rid(kRid));
  iommu.invalidate_all(TBit::kShared);
  (void)reason(kIova);
  EXPECT_EQ(trace.events().size(), 2U);
}

}  // namespace
}  // namespace teeio::hw
