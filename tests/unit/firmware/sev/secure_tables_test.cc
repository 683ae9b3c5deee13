#include "firmware/sev/secure_tables.h"

#include <gtest/gtest.h>

namespace teeio::sev {
namespace {

using Kind = hw::SecureRefusal::Kind;

constexpr std::uint16_t kRid = 0x100;
constexpr Asid kAsid = 3;
constexpr Gpa kGpa{0x5000};

class SecureTablesTest : public testing::Test {
 protected:
  SecureTablesTest() {
    EXPECT_EQ(rmp.update(page, {.assigned = true, .asid = kAsid, .gpa = kGpa}),
              RmpStatus::kSuccess);
    EXPECT_TRUE(rmp.pvalidate(kAsid, kGpa, page, RmpSize::k4K, true).has_value());
    guard.write(kRid, {.valid = true, .read = true, .write = true, .asid = kAsid});
    guard.open(0, kAsid);
  }
  Kind refusal(Gpa gpa, Hpa at) {
    const auto entry = tables.entry(kRid);
    EXPECT_TRUE(entry.has_value());
    const auto found = tables.check(*entry, gpa, at, hw::DmaAccess::kWrite);
    EXPECT_FALSE(found.has_value());
    return found ? Kind::kNoEntry : found.error().kind;
  }

  hw::PhysicalMemory memory{1U << 24U};
  object::Trace trace;
  Rmp rmp{memory};
  IoGuard guard{trace};
  SecureTables tables{guard, rmp, 0};
  Hpa page = *memory.alloc_page();
};

TEST_F(SecureTablesTest, TheGuestsPageIsReachedWithItsKey) {
  const auto entry = tables.entry(kRid);
  ASSERT_TRUE(entry.has_value());
  EXPECT_TRUE(entry->readable && entry->writable);
  EXPECT_EQ(*tables.check(*entry, kGpa, page, hw::DmaAccess::kWrite), hw::KeyId{kAsid});
}

TEST_F(SecureTablesTest, AnotherAddressOrAnothersPageIsRefused) {
  EXPECT_EQ(refusal(Gpa{0x6000}, page), Kind::kRmp);
  EXPECT_EQ(refusal(kGpa, *memory.alloc_page()), Kind::kRmp);
}

TEST_F(SecureTablesTest, WithoutAnEntryNothingGoes) {
  EXPECT_EQ(tables.entry(kRid + 1).error().kind, Kind::kNoEntry);
  tables.request_failed(kRid + 1);
  EXPECT_EQ(guard.fence(0, kAsid), Fence::kOpen);
}

TEST_F(SecureTablesTest, AFailedRequestFencesTheGuest) {
  const std::uint64_t before = tables.generation();
  tables.request_failed(kRid);
  EXPECT_EQ(guard.fence(0, kAsid), Fence::kError);
  EXPECT_EQ(tables.entry(kRid).error().kind, Kind::kFenced);
  EXPECT_NE(tables.generation(), before);
}

TEST_F(SecureTablesTest, AboveVtomMemoryIsShared) {
  guard.write(kRid, {.valid = true,
                     .read = true,
                     .write = true,
                     .asid = kAsid,
                     .vtom_enabled = true,
                     .vtom = Gpa{0x20'0000}});
  const auto entry = tables.entry(kRid);
  const Hpa shared = *memory.alloc_page();
  EXPECT_EQ(*tables.check(*entry, Gpa{0x20'0000}, shared, hw::DmaAccess::kRead),
            hw::KeyId::kShared);
  EXPECT_EQ(refusal(Gpa{0x20'0000}, page), Kind::kRmp) << "a private page behind a shared address";
  EXPECT_EQ(*tables.check(*entry, kGpa, page, hw::DmaAccess::kRead), hw::KeyId{kAsid});
}

}  // namespace
}  // namespace teeio::sev
