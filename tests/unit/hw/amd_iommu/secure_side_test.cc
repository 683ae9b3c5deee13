#include "hw/amd_iommu/secure_side.h"

#include <gtest/gtest.h>

#include <map>

#include "hw/amd_iommu/registers.h"
#include "iommu_tables.h"

namespace teeio::hw {
namespace {

using amd::Event;
using test::AmdTables;

constexpr std::uint16_t kRid = 0x0090;
constexpr Iova kIova{0x34'5000};
constexpr KeyId kGuest{7};

/// A firmware of two tables.
class Tables final : public SecureSide {
 public:
  std::expected<Entry, SecureRefusal> entry(std::uint16_t rid) override {
    const auto at = entries.find(rid);
    if (at == entries.end())
      return std::unexpected(
          SecureRefusal{SecureRefusal::Kind::kNoEntry, "no secure device table entry"});
    if (fenced)
      return std::unexpected(SecureRefusal{SecureRefusal::Kind::kFenced, "the guest is fenced"});
    return at->second;
  }
  std::expected<KeyId, SecureRefusal> check(const Entry& entry, Gpa gpa, Hpa page,
                                            DmaAccess) override {
    const auto at = owners.find(page);
    if (at == owners.end() || at->second != std::pair{entry.asid, gpa})
      return std::unexpected(SecureRefusal{SecureRefusal::Kind::kRmp, "the RMP refuses"});
    return kGuest;
  }
  void request_failed(std::uint16_t rid) override { failed.push_back(rid); }
  [[nodiscard]] std::uint64_t generation() const override { return 0; }

  std::map<std::uint16_t, Entry> entries;
  std::map<Hpa, std::pair<std::uint16_t, Gpa>> owners;
  bool fenced = false;
  std::vector<std::uint16_t> failed;
};

class SecureSideTest : public testing::Test {
 protected:
  SecureSideTest() {
    iommu.set_secure_side(side);
    tables.attach(kRid, root, 3, 5);
    tables.set(tables.leaf(root, kIova, 3), AmdTables::table_entry(page, 0));
    side.entries[kRid] = {.asid = 3, .readable = true, .writable = true};
    side.owners[page] = {3, Gpa{raw(kIova)}};
  }
  auto ask(TBit t = TBit::kTrusted, DmaAccess access = DmaAccess::kRead) {
    return iommu.translate(kRid, t, kIova + 0x10, access);
  }

  PhysicalMemory memory{std::uint64_t{64} * kPageSize};
  object::Trace trace;
  AmdIommu iommu{memory, trace, 0};
  AmdTables tables{memory, iommu};
  Tables side;
  const Hpa root = tables.page();
  const Hpa page = tables.page();
};

TEST_F(SecureSideTest, ATrustedRequestReachesTheGuestsPageWithItsKey) {
  const auto found = ask();
  ASSERT_TRUE(found.has_value()) << found.error().text;
  EXPECT_EQ(found->address, page + 0x10);
  EXPECT_EQ(found->key, kGuest);
  EXPECT_EQ(found->contiguous_bytes, kPageSize - 0x10);
  EXPECT_EQ(ask(TBit::kShared)->key, KeyId::kShared) << "a shared request has no key";
}

TEST_F(SecureSideTest, WithoutASecureEntryThereIsNoTrustedRequest) {
  side.entries.clear();
  EXPECT_EQ(ask().error().reason, std::to_underlying(Event::kIllegalDeviceTableEntry));
}

TEST_F(SecureSideTest, TheGuestsEntryDecidesReadAndWrite) {
  side.entries[kRid].writable = false;
  EXPECT_TRUE(ask().has_value());
  EXPECT_EQ(ask(TBit::kTrusted, DmaAccess::kWrite).error().reason,
            std::to_underlying(Event::kIoPageFault));
}

TEST_F(SecureSideTest, AHostThatMovesThePageMeetsTheRmp) {
  const Hpa other = tables.page();
  tables.set(tables.leaf(root, kIova, 3), AmdTables::table_entry(other, 0));
  EXPECT_EQ(ask().error().reason, std::to_underlying(Event::kRmpPageFault));
  EXPECT_EQ(side.failed, std::vector<std::uint16_t>{kRid});
  side.owners[other] = {3, Gpa{raw(kIova) + kPageSize}};
  EXPECT_FALSE(ask().has_value()) << "the guest's page, at another address";
  side.owners[other] = {4, Gpa{raw(kIova)}};
  EXPECT_FALSE(ask().has_value()) << "another guest's page";
}

TEST_F(SecureSideTest, TheRmpIsAskedAlsoForWhatTheIotlbHas) {
  EXPECT_TRUE(ask().has_value());
  side.owners.clear();
  EXPECT_EQ(ask().error().reason, std::to_underlying(Event::kRmpPageFault));
}

TEST_F(SecureSideTest, AHostThatUnmapsThePageIsTold) {
  tables.set(tables.leaf(root, kIova, 3), 0);
  EXPECT_EQ(ask().error().reason, std::to_underlying(Event::kIoPageFault));
  EXPECT_EQ(side.failed.size(), 1U);
  EXPECT_FALSE(ask(TBit::kShared).has_value());
  EXPECT_EQ(side.failed.size(), 1U) << "a shared request fences nobody";
}

TEST_F(SecureSideTest, AFencedGuestIsRefusedWithoutAnEvent) {
  side.fenced = true;
  EXPECT_EQ(ask().error().reason, 0U);
  EXPECT_EQ(iommu.read_register(amd::kEventTail), 0U);
  EXPECT_TRUE(side.failed.empty());
}

TEST_F(SecureSideTest, SnpWantsAPageTableForEveryRequester) {
  tables.set(tables.device(kRid), 0);
  tables.invalidate_device(kRid);
  EXPECT_EQ(ask(TBit::kShared).error().reason, std::to_underlying(Event::kIllegalDeviceTableEntry));
  tables.attach(kRid, Hpa{0}, 0, 5);
  tables.invalidate_device(kRid);
  EXPECT_EQ(ask(TBit::kShared).error().reason, std::to_underlying(Event::kIllegalDeviceTableEntry));
}

TEST_F(SecureSideTest, TheFeaturesSaySo) {
  EXPECT_NE(iommu.read_register(amd::kExtendedFeatures) & amd::kSnpSupported, 0U);
  EXPECT_NE(iommu.read_register(amd::kExtendedFeatures2) & amd::kSevTioSupported, 0U);
  AmdIommu plain(memory, trace, 1);
  EXPECT_EQ(plain.read_register(amd::kExtendedFeatures) & amd::kSnpSupported, 0U);
  EXPECT_EQ(plain.translate(kRid, TBit::kTrusted, kIova, DmaAccess::kRead).error().reason,
            std::to_underlying(Event::kInvalidDeviceRequest));
}

}  // namespace
}  // namespace teeio::hw
