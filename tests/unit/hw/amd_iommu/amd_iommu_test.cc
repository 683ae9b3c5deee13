#include "hw/amd_iommu/amd_iommu.h"

#include <gtest/gtest.h>

#include "hw/amd_iommu/registers.h"
#include "iommu_tables.h"

namespace teeio::hw {
namespace {

using amd::Event;
using test::AmdTables;

constexpr std::uint16_t kRid = 0x0090;  // 00:12.0
constexpr std::uint16_t kDomain = 5;
constexpr Iova kIova{0x12'3456'7000};
constexpr Hpa kTarget{0x1'0080'0000};

class AmdIommuTest : public testing::Test {
 protected:
  std::uint16_t reason(Iova address, DmaAccess access = DmaAccess::kRead,
                       std::uint16_t rid = kRid) {
    const auto found = iommu.translate(rid, TBit::kShared, address, access);
    return found ? std::uint16_t{0} : found.error().reason;
  }
  static std::uint16_t code(Event event) { return std::to_underlying(event); }
  std::optional<Hpa> where(Iova address, DmaAccess access = DmaAccess::kRead) {
    const auto found = iommu.translate(kRid, TBit::kShared, address, access);
    return found ? std::optional(found->address) : std::nullopt;
  }
  /// A page at kIova below `mode` levels.
  void map(unsigned mode = 4, std::uint64_t rights = AmdTables::kReadWrite) {
    tables.attach(kRid, root, mode, kDomain);
    tables.set(tables.leaf(root, kIova, mode), AmdTables::table_entry(kTarget, 0, rights));
  }

  PhysicalMemory memory{std::uint64_t{256} * kPageSize};
  object::Trace trace;
  AmdIommu iommu{memory, trace, 0};
  AmdTables tables{memory, iommu};
  const Hpa root = tables.page();
};

TEST_F(AmdIommuTest, WhenOffEverythingPassesAsItIs) {
  iommu.write_register(amd::kControl, 0);
  EXPECT_EQ(where(kIova), Hpa{raw(kIova)});
}

TEST_F(AmdIommuTest, ARequesterWithoutAValidEntryPassesAsItIs) {
  EXPECT_EQ(where(kIova), Hpa{raw(kIova)});
}

TEST_F(AmdIommuTest, AnEntryWithoutTranslationBlocks) {
  tables.attach(kRid, root, 4, kDomain, amd::kDteValid);
  EXPECT_EQ(reason(kIova), code(Event::kIoPageFault));
}

class AmdIommuLevels : public AmdIommuTest, public testing::WithParamInterface<unsigned> {};
INSTANTIATE_TEST_SUITE_P(Modes, AmdIommuLevels, testing::Values(4U, 5U, 6U));

TEST_P(AmdIommuLevels, WalksAPageBelowEveryDepth) {
  map(GetParam());
  const auto found = iommu.translate(kRid, TBit::kShared, kIova + 0x123, DmaAccess::kWrite);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->address, kTarget + 0x123);
  EXPECT_EQ(found->contiguous_bytes, kPageSize - 0x123);
  EXPECT_EQ(found->domain, kDomain);
  EXPECT_EQ(found->key, KeyId::kShared);
}

TEST_F(AmdIommuTest, AnAddressBeyondTheTableFaults) {
  map(4);
  EXPECT_EQ(reason(Iova{std::uint64_t{1} << 48U}), code(Event::kIoPageFault));
  EXPECT_EQ(reason(Iova{~std::uint64_t{0xfff}}), code(Event::kIoPageFault));
}

TEST_F(AmdIommuTest, LevelsCanBeSkippedWhereTheirAddressBitsAreZero) {
  // The level-4 table points to a level-1 table at once.
  const Iova low{0x12000};
  const Hpa leaf_table = tables.page();
  tables.attach(kRid, root, 4, kDomain);
  tables.set(AmdTables::slot(root, low, 4), AmdTables::table_entry(leaf_table, 1));
  tables.set(AmdTables::slot(leaf_table, low, 1), AmdTables::table_entry(kTarget, 0));
  EXPECT_EQ(where(low), kTarget);
  EXPECT_EQ(reason(Iova{0x12000 + (1U << 21U)}), code(Event::kIoPageFault))
      << "a bit of a skipped level is set";
}

struct Sized {
  unsigned shift;
  unsigned level;
};
class AmdIommuSizes : public AmdIommuTest, public testing::WithParamInterface<Sized> {
 protected:
  /// The entry of a page of that size: its address with the size's ones.
  static std::uint64_t sized_entry(Hpa page, unsigned shift) {
    const std::uint64_t ones = ((std::uint64_t{1} << (shift - 1)) - 1) & ~std::uint64_t{0xfff};
    return AmdTables::table_entry(Hpa{raw(page) | ones}, amd::kNextLevelSized);
  }
};
INSTANTIATE_TEST_SUITE_P(Sizes, AmdIommuSizes,
                         testing::Values(Sized{13, 1}, Sized{16, 1}, Sized{20, 1}, Sized{22, 2},
                                         Sized{29, 2}, Sized{31, 3}));

TEST_P(AmdIommuSizes, APageOfAnyPowerOfTwoIsWalkedAndServed) {
  const auto [shift, level] = GetParam();
  const std::uint64_t size = std::uint64_t{1} << shift;
  const Hpa to{std::uint64_t{3} << 40U};
  tables.attach(kRid, root, 4, kDomain);
  tables.set(tables.leaf(root, kIova, 4, level), sized_entry(to, shift));
  const std::uint64_t offset = raw(kIova) & (size - 1);
  for (int i = 0; i < 2; ++i) {
    const auto found = iommu.translate(kRid, TBit::kShared, kIova, DmaAccess::kRead);
    ASSERT_TRUE(found.has_value()) << found.error().text;
    EXPECT_EQ(found->address, to + offset);
    EXPECT_EQ(found->contiguous_bytes, size - offset);
  }
}

TEST_P(AmdIommuSizes, ASizeOfAnotherLevelIsReserved) {
  const auto [shift, level] = GetParam();
  tables.attach(kRid, root, 4, kDomain);
  tables.set(tables.leaf(root, kIova, 4, level), sized_entry(Hpa{0}, shift + 9));
  EXPECT_EQ(reason(kIova), code(Event::kIoPageFault));
  EXPECT_EQ(iommu.last_fault()->text, "a page's size does not go with its level");
}

// Hostile tables.

TEST_F(AmdIommuTest, AnEntryThatLeadsUpOrNowhereIsReserved) {
  tables.attach(kRid, root, 4, kDomain);
  for (const unsigned next : {4U, 5U, 6U}) {
    tables.set(AmdTables::slot(root, kIova, 4), AmdTables::table_entry(root, next));
    EXPECT_EQ(reason(kIova), code(Event::kIoPageFault)) << next;
    EXPECT_EQ(iommu.last_fault()->text, "a page table entry does not lead to a lower level");
  }
}

TEST_F(AmdIommuTest, TheTopLevelOfSixHasNoPages) {
  tables.attach(kRid, root, 6, kDomain);
  tables.set(AmdTables::slot(root, kIova, 6), AmdTables::table_entry(Hpa{0}, 0));
  EXPECT_EQ(reason(kIova), code(Event::kIoPageFault));
}

TEST_F(AmdIommuTest, ReservedBitsOfAPageTableEntryFault) {
  map();
  tables.set(tables.leaf(root, kIova, 4),
             AmdTables::table_entry(kTarget, 0) | std::uint64_t{1} << 52U);
  EXPECT_EQ(reason(kIova), code(Event::kIoPageFault));
}

TEST_F(AmdIommuTest, AMisalignedLargePageIsReserved) {
  tables.attach(kRid, root, 4, kDomain);
  tables.set(tables.leaf(root, kIova, 4, 2), AmdTables::table_entry(kTarget + kPageSize, 0));
  EXPECT_EQ(reason(kIova), code(Event::kIoPageFault));
}

TEST_F(AmdIommuTest, TablesOutsideOfMemoryAreHardwareErrors) {
  tables.attach(kRid, Hpa{0x5000}, 4, kDomain);
  EXPECT_EQ(reason(kIova), code(Event::kPageTableHardwareError));
  iommu.write_register(amd::kDeviceTable, 0x5000 | 1U);
  tables.invalidate_device(kRid);
  EXPECT_EQ(reason(kIova), code(Event::kDeviceTableHardwareError));
}

TEST_F(AmdIommuTest, ARequesterBeyondTheDeviceTableIsIllegal) {
  EXPECT_EQ(reason(kIova, DmaAccess::kRead, 0x0100), code(Event::kIllegalDeviceTableEntry));
}

TEST_F(AmdIommuTest, ReservedFieldsOfADeviceEntryAreIllegal) {
  for (const std::uint64_t bit : {2U, 6U, 54U, 55U, 63U}) {
    tables.attach(kRid, root, 4, kDomain, AmdTables::kAttached | std::uint64_t{1} << bit);
    tables.invalidate_device(kRid);
    EXPECT_EQ(reason(kIova), code(Event::kIllegalDeviceTableEntry)) << bit;
  }
  tables.attach(kRid, root, 7, kDomain);
  tables.invalidate_device(kRid);
  EXPECT_EQ(reason(kIova), code(Event::kIllegalDeviceTableEntry)) << "mode 7";
}

// Rights.

TEST_F(AmdIommuTest, EveryLevelAndTheDeviceEntryMustPermit) {
  map(4, amd::kPteRead);
  EXPECT_EQ(where(kIova), kTarget);
  EXPECT_EQ(reason(kIova, DmaAccess::kWrite), code(Event::kIoPageFault));
  const Hpa upper = AmdTables::slot(root, kIova, 4);
  tables.set(upper, tables.get(upper) & ~amd::kPteRead);
  tables.invalidate_pages(kDomain, raw(kIova));
  EXPECT_EQ(reason(kIova), code(Event::kIoPageFault)) << "a table without the right";
  map(4);
  tables.set(upper, tables.get(upper) | amd::kPteRead);
  tables.attach(kRid, root, 4, kDomain, AmdTables::kAttached & ~amd::kDteWrite);
  tables.invalidate_device(kRid);
  EXPECT_EQ(where(kIova), kTarget);
  EXPECT_EQ(reason(kIova, DmaAccess::kWrite), code(Event::kIoPageFault)) << "the device entry";
}

TEST_F(AmdIommuTest, ModeZeroPassesWithTheRightsOfTheEntry) {
  tables.attach(kRid, Hpa{0}, 0, kDomain, AmdTables::kAttached & ~amd::kDteWrite);
  EXPECT_EQ(where(kIova), Hpa{raw(kIova)});
  EXPECT_EQ(reason(kIova, DmaAccess::kWrite), code(Event::kIoPageFault));
}

TEST_F(AmdIommuTest, InterruptsAreWritesAndHyperTransportIsNoMemory) {
  map(6);
  EXPECT_EQ(where(kInterruptRangeStart, DmaAccess::kWrite), Hpa{raw(kInterruptRangeStart)});
  EXPECT_EQ(reason(kInterruptRangeStart), code(Event::kInvalidDeviceRequest));
  EXPECT_EQ(reason(kHtRangeStart), code(Event::kInvalidDeviceRequest));
  EXPECT_EQ(reason(kHtRangeLast), code(Event::kInvalidDeviceRequest));
}

// Caches and commands.

TEST_F(AmdIommuTest, WhatWasWalkedIsServedUntilItsPageIsInvalidated) {
  map();
  EXPECT_EQ(where(kIova), kTarget);
  tables.set(tables.leaf(root, kIova, 4), 0);
  EXPECT_EQ(where(kIova), kTarget);
  tables.invalidate_pages(kDomain + 1, raw(kIova));
  tables.invalidate_pages(kDomain, raw(kIova) + kPageSize);
  EXPECT_EQ(where(kIova), kTarget) << "another domain, another page";
  tables.invalidate_pages(kDomain, raw(kIova));
  EXPECT_EQ(reason(kIova), code(Event::kIoPageFault));
}

TEST_F(AmdIommuTest, ASizedInvalidationTakesItsWholeRange) {
  for (const std::uint64_t high :
       {(raw(kIova) & ~std::uint64_t{0x3fff}) | 0x1000U | amd::kPagesSized,  // 16 KiB around it
        0x7fff'ffff'ffff'f000U | amd::kPagesSized | amd::kPagesTables}) {    // everything
    map();
    EXPECT_EQ(where(kIova), kTarget);
    tables.set(tables.leaf(root, kIova, 4), 0);
    tables.invalidate_pages(kDomain, high);
    EXPECT_EQ(reason(kIova), code(Event::kIoPageFault));
  }
}

TEST_F(AmdIommuTest, ADeviceEntryIsServedUntilItIsInvalidated) {
  map();
  EXPECT_EQ(where(kIova), kTarget);
  tables.attach(kRid, root, 4, kDomain + 1, amd::kDteValid);
  EXPECT_EQ(where(kIova), kTarget);
  tables.invalidate_device(kRid + 1);
  EXPECT_EQ(where(kIova), kTarget) << "another requester";
  tables.invalidate_device(kRid);
  EXPECT_EQ(reason(kIova), code(Event::kIoPageFault));
}

TEST_F(AmdIommuTest, InvalidateAllTakesBothCaches) {
  map();
  EXPECT_EQ(where(kIova), kTarget);
  tables.set(tables.device(kRid), amd::kDteValid);
  tables.command(AmdTables::opcode(amd::Command::kInvalidateIommuAll), 0);
  EXPECT_EQ(reason(kIova), code(Event::kIoPageFault));
}

TEST_F(AmdIommuTest, CompletionWaitStoresItsData) {
  const Hpa at = tables.page();
  tables.command(AmdTables::opcode(amd::Command::kCompletionWait) | raw(at + 8) | amd::kWaitStore |
                     amd::kWaitInterrupt,
                 0x1234'5678'9abc'def0);
  EXPECT_EQ(tables.get(at + 8), 0x1234'5678'9abc'def0U);
  EXPECT_NE(iommu.read_register(amd::kStatus) & amd::kCompletionInterrupt, 0U);
  EXPECT_EQ(iommu.read_register(amd::kCommandHead), iommu.read_register(amd::kCommandTail));
}

struct BadCommand {
  std::uint64_t low, high;
};
class AmdIommuBadCommand : public AmdIommuTest, public testing::WithParamInterface<BadCommand> {};
INSTANTIATE_TEST_SUITE_P(
    All, AmdIommuBadCommand,
    testing::Values(BadCommand{0, 0}, BadCommand{std::uint64_t{6} << 60U, 0},      // PREFETCH
                    BadCommand{std::uint64_t{7} << 60U, 0},                        // COMPLETE_PPR
                    BadCommand{std::uint64_t{2} << 60U | 0x10000, 0},              // reserved bits
                    BadCommand{std::uint64_t{3} << 60U, amd::kPagesTables << 1U},  // GN
                    BadCommand{std::uint64_t{8} << 60U, 1}));

TEST_P(AmdIommuBadCommand, StopsTheBufferUntilItIsStartedAgain) {
  tables.command(GetParam().low, GetParam().high);
  EXPECT_EQ(iommu.read_register(amd::kStatus) & amd::kCommandRunning, 0U);
  EXPECT_EQ(tables.get(tables.events()) >> 60U, code(Event::kIllegalCommandError));
  EXPECT_EQ(tables.get(tables.events() + 8), raw(tables.commands()));
  const Hpa at = tables.page();
  const std::uint64_t wait =
      AmdTables::opcode(amd::Command::kCompletionWait) | raw(at) | amd::kWaitStore;
  tables.command(wait, 1);
  EXPECT_EQ(tables.get(at), 0U);
  const std::uint64_t control = iommu.read_register(amd::kControl);
  iommu.write_register(amd::kControl, control & ~amd::kCommandEnable);
  iommu.write_register(amd::kCommandHead, iommu.read_register(amd::kCommandTail));
  iommu.write_register(amd::kControl, control);
  tables.command(wait, 2);
  EXPECT_EQ(tables.get(at), 2U);
}

TEST_F(AmdIommuTest, ACommandBufferOutsideOfMemoryStops) {
  iommu.write_register(amd::kCommandBase, 0x5000 | std::uint64_t{8} << 56U);
  iommu.write_register(amd::kCommandTail, 16);
  EXPECT_EQ(iommu.read_register(amd::kStatus) & amd::kCommandRunning, 0U);
  EXPECT_EQ(tables.get(tables.events()) >> 60U, code(Event::kCommandHardwareError));
}

TEST_F(AmdIommuTest, AnInvalidationThatADeviceMustAnswerTimesOut) {
  tables.command(AmdTables::opcode(amd::Command::kInvalidateIotlbPages) | kRid, raw(kIova));
  EXPECT_EQ(tables.get(tables.events()) >> 60U, code(Event::kIotlbInvalidationTimeout));
  EXPECT_NE(iommu.read_register(amd::kStatus) & amd::kCommandRunning, 0U);
}

// Events.

TEST_F(AmdIommuTest, AFaultIsLoggedWithRequesterDomainAndAddress) {
  map(4, amd::kPteRead);
  int interrupts = 0;
  iommu.set_event_interrupt([&] { ++interrupts; });
  EXPECT_EQ(where(kIova), kTarget);
  EXPECT_EQ(reason(kIova + 8, DmaAccess::kWrite), code(Event::kIoPageFault));
  const std::uint64_t low = tables.get(tables.events());
  EXPECT_EQ(low & 0xffffU, kRid);
  EXPECT_EQ(low >> 32U & 0xffffU, kDomain);
  EXPECT_EQ(low >> 48U & 0xfffU, amd::kFlagPresent | amd::kFlagPermission | amd::kFlagWrite);
  EXPECT_EQ(tables.get(tables.events() + 8), raw(kIova) + 8);
  EXPECT_EQ(iommu.read_register(amd::kEventTail), 16U);
  EXPECT_EQ(interrupts, 1);
  EXPECT_EQ(iommu.fault_count(), 1U);
}

TEST_F(AmdIommuTest, AFullLogOverflowsAndStops) {
  tables.attach(kRid, root, 4, kDomain);
  for (unsigned i = 0; i < 300; ++i) EXPECT_EQ(reason(kIova), code(Event::kIoPageFault));
  const std::uint64_t status = iommu.read_register(amd::kStatus);
  EXPECT_NE(status & amd::kEventOverflow, 0U);
  EXPECT_EQ(status & amd::kEventLogRunning, 0U);
  EXPECT_EQ(iommu.read_register(amd::kEventTail), 255U * 16);
  iommu.write_register(amd::kStatus, amd::kEventOverflow);
  EXPECT_EQ(iommu.read_register(amd::kStatus) & amd::kEventOverflow, 0U);
  EXPECT_EQ(iommu.fault_count(), 300U) << "requests are refused whether or not they are logged";
}

TEST_F(AmdIommuTest, WithHadReadsMarkAPageAccessedAndWritesMarkItDirty) {
  map();
  const Hpa leaf = tables.leaf(root, kIova, 4);
  const auto marks = [&] { return tables.get(leaf) & (amd::kPteAccessed | amd::kPteDirty); };
  ASSERT_TRUE(where(kIova, DmaAccess::kWrite));
  EXPECT_EQ(marks(), 0U);
  tables.attach(kRid, root, 4, kDomain, AmdTables::kAttached | amd::kDteTracksDirty);
  tables.invalidate_device(kRid);
  tables.invalidate_pages(kDomain, raw(kIova));
  ASSERT_TRUE(where(kIova));
  EXPECT_EQ(marks(), amd::kPteAccessed);
  ASSERT_TRUE(where(kIova, DmaAccess::kWrite)) << "what the read had cached does not hide it";
  EXPECT_EQ(marks(), amd::kPteAccessed | amd::kPteDirty);
  tables.set(leaf, tables.get(leaf) & ~amd::kPteDirty);
  ASSERT_TRUE(where(kIova, DmaAccess::kWrite));
  EXPECT_EQ(marks(), amd::kPteAccessed) << "the cached entry knows the bit as set";
  tables.invalidate_pages(kDomain, raw(kIova));
  ASSERT_TRUE(where(kIova, DmaAccess::kWrite));
  EXPECT_EQ(marks(), amd::kPteAccessed | amd::kPteDirty);
}

TEST_F(AmdIommuTest, ARequestWithAPasidHasNowhereToGo) {
  map();
  const auto found =
      iommu.translate(Requester(kRid, Pasid{1}), TBit::kShared, kIova, DmaAccess::kRead);
  ASSERT_FALSE(found.has_value());
  EXPECT_EQ(found.error().reason, code(Event::kInvalidDeviceRequest));
}

}  // namespace
}  // namespace teeio::hw
