// A realm's tables: what is folded, what of the host's memory they map, and what a realm has as
// RAM from the beginning.
#include "hw/smmu/stage2.h"
#include "unit/firmware/rmm/machine.h"

namespace teeio::rmm {
namespace {

constexpr std::uint64_t kBlock = 1U << 21U;
constexpr Gpa kShared{Rtt::kProtected + raw(Machine::kIpa)};
constexpr Hpa kSome{0x5020'0000};  // whatever is there: the host's memory is not looked at

class Tables : public Machine {
 public:
  void new_realm() {
    ASSERT_RMI(rmm.realm_create(rd, {.vm = 1, .rtt = rtt}));
    make_tables();
  }
  void shared_tables() {
    ASSERT_RMI(rmm.realm_create(rd, {.vm = 1, .rtt = rtt}));
    ASSERT_RMI(rmm.rtt_create(rd, granule(), kShared, 2));
    ASSERT_RMI(rmm.rtt_create(rd, granule(), kShared, 3));
  }
  RmiResult entry(Gpa ipa, std::uint8_t level = 3) { return rmm.rtt_read_entry(rd, ipa, level); }
  RmiResult share(Gpa ipa, Hpa page, UnprotectedFlags flags = {}, std::uint64_t count = 1) {
    return rmm.rtt_unprot_map(rd, ipa, ipa + count * kPageSize, flags,
                              AddressDescriptor{.base = page, .count = count}.encode());
  }
  /// What a walk of the table itself finds.
  auto walk(Gpa ipa) {
    return hw::smmu::walk_stage2(memory, kRealmWorld, rtt, Rtt::kAddressBits, Iova{raw(ipa)});
  }
};

TEST_F(Tables, AFoldedTableOfNothingLeavesItsRipasToTheEntryAbove) {
  new_realm();
  ASSERT_RMI(rmm.rtt_init_ripas(rd, kIpa, kIpa + kBlock));
  const RmiResult folded = rmm.rtt_fold(rd, kIpa, 3);
  ASSERT_RMI(folded);
  EXPECT_TRUE(undelegate(Hpa{folded.x1}).ok()) << "the table's granule is the host's to take";
  const RmiResult above = entry(kIpa);
  EXPECT_EQ(above.x1, 2U);
  EXPECT_EQ(above.x4, static_cast<std::uint64_t>(Ripas::kRam));
  EXPECT_EQ(above.x2, 0U);
}

TEST_F(Tables, ATableOfOneAlignedBlockFoldsToThatBlock) {
  new_realm();
  const Hpa block = run_of(512);
  ASSERT_EQ(raw(block) % kBlock, 0U);
  ASSERT_RMI(rmm.rtt_init_ripas(rd, kIpa, kIpa + kBlock));
  ASSERT_RMI(rmm.rtt_data_map(rd, kIpa, kIpa + kBlock, {},
                              AddressDescriptor{.base = block, .count = 512}.encode()));
  ASSERT_RMI(rmm.rtt_fold(rd, kIpa, 3));
  const auto leaf = walk(kIpa + 5 * kPageSize);
  ASSERT_TRUE(leaf.has_value());
  EXPECT_EQ(leaf->address, block);
  EXPECT_EQ(leaf->bytes, kBlock);
  // And is taken apart again.
  ASSERT_RMI(rmm.rtt_create(rd, granule(), kIpa, 3));
  EXPECT_EQ(entry(kIpa + 5 * kPageSize).x3, raw(block) + 5 * kPageSize);
}

TEST_F(Tables, WhatDiffersInOneEntryIsNotFolded) {
  new_realm();
  ASSERT_RMI(rmm.rtt_init_ripas(rd, kIpa, kIpa + kPageSize));
  const RmiResult refused = rmm.rtt_fold(rd, kIpa, 3);
  EXPECT_RMI(refused, Code::kRtt);
  EXPECT_EQ(refused.level, 3);
  EXPECT_RMI(rmm.rtt_fold(rd, kIpa, 2), Code::kRtt) << "a table below";
}

TEST_F(Tables, ABlockThatIsNotAlignedToTheEntryAboveIsNotFolded) {
  shared_tables();
  ASSERT_RMI(share(kShared, kSome + kPageSize, {}, 512));
  EXPECT_RMI(rmm.rtt_fold(rd, kShared, 3), Code::kRtt);
}

TEST_F(Tables, SharedMemoryIsMappedWithTheHostsAttributes) {
  shared_tables();
  const UnprotectedFlags flags{.memory = 5, .access = UnprotectedFlags::kRead};
  ASSERT_RMI(share(kShared, kSome, flags));
  const RmiResult read = entry(kShared);
  EXPECT_EQ(read.x2, 1U);
  EXPECT_EQ(read.x3, raw(kSome) | 5U << 2U | 1U << 6U);
  EXPECT_EQ(read.x4, 0U);
  const auto leaf = walk(kShared);
  ASSERT_TRUE(leaf.has_value());
  EXPECT_EQ(leaf->address, kSome);
  EXPECT_TRUE(leaf->shared);
  EXPECT_TRUE(leaf->read);
  EXPECT_FALSE(leaf->write);
  EXPECT_RMI(share(kShared, kSome, flags), Code::kSuccess) << "the same once more";
  EXPECT_RMI(share(kShared, kSome), Code::kRtt) << "with other rights";
  EXPECT_RMI(share(kShared, kSome + kPageSize, flags), Code::kRtt);
}

TEST_F(Tables, AListOfWhatWasSharedSaysThatItIsUndelegated) {
  shared_tables();
  ASSERT_RMI(share(kShared, kSome, {}, 3));
  const RmiResult gone = rmm.rtt_unprot_unmap(rd, kShared, kShared + kBlock,
                                              {.type = AddressFlags::kList, .count = 4}, raw(list));
  ASSERT_RMI(gone);
  EXPECT_EQ(gone.x1, raw(kShared) + kBlock);
  EXPECT_EQ(gone.x3, 1U);
  const auto run = AddressDescriptor::decode(*memory.read_u64(list));
  EXPECT_EQ(run.base, kSome);
  EXPECT_EQ(run.count, 3U);
  EXPECT_TRUE(run.undelegated);
  EXPECT_FALSE(walk(kShared).has_value());
}

TEST_F(Tables, OneDescriptorOfWhatWasSharedHasNoState) {
  shared_tables();
  ASSERT_RMI(share(kShared, kSome));
  const RmiResult gone = rmm.rtt_unprot_unmap(rd, kShared, kShared + kPageSize, {});
  ASSERT_RMI(gone);
  EXPECT_FALSE(AddressDescriptor::decode(gone.x2).undelegated);
}

// A granule's reference count is that of the realm's own memory.
TEST_F(Tables, SharedMemoryKeepsNoTable) {
  shared_tables();
  ASSERT_RMI(share(kShared, kSome));
  const RmiResult gone = rmm.rtt_destroy(rd, kShared, 3);
  ASSERT_RMI(gone);
  EXPECT_FALSE(walk(kShared).has_value());
  EXPECT_EQ(entry(kShared).x4, 0U) << "what is not protected is not DESTROYED";
}

TEST_F(Tables, ARangeFromTheProtectedHalfToTheOtherIsNoSharedOne) {
  shared_tables();
  constexpr std::uint64_t kGiB = 1U << 30U;
  const Gpa last{Rtt::kProtected - kGiB};
  const RmiResult refused = rmm.rtt_unprot_map(rd, last, last + 2 * kGiB, {}, one(Hpa{kGiB}, 1));
  EXPECT_RMI(refused, Code::kRtt) << "only both ends in the protected half are INPUT";
  EXPECT_EQ(refused.level, 1);
}

TEST_F(Tables, RipasIsSetAsFarAsItGoes) {
  new_realm();
  ASSERT_RMI(rmm.rtt_init_ripas(rd, kIpa, kIpa + kPageSize));
  const RmiResult all = rmm.rtt_init_ripas(rd, kIpa, kIpa + 2 * kBlock);
  ASSERT_RMI(all);
  EXPECT_EQ(all.x1, raw(kIpa) + kBlock) << "one table a call, and what is RAM stays so";
  ASSERT_RMI(rmm.rtt_destroy(rd, kIpa, 3));
  EXPECT_RMI(rmm.rtt_init_ripas(rd, kIpa, kIpa + kBlock), Code::kRtt) << "DESTROYED";
}

// addr_list_peek_desc() and map_pop_next_block().
TEST_F(Tables, ADescriptorWithoutBlocksIsRefusedWhereAPageIsLookedFor) {
  new_realm();
  const std::uint64_t none = raw(kSome);
  EXPECT_RMI(rmm.rtt_data_map(rd, kIpa, kIpa + kPageSize, {}, none), Code::kInput);
  EXPECT_RMI(rmm.rtt_data_map(rd, kIpa + kBlock, kIpa + kBlock + kPageSize, {}, none), Code::kRtt)
      << "the walk is before it";
}

TEST_F(Tables, AnAddressOfMoreThan48BitsIsAskedForBeforeTheEntry) {
  new_realm();
  ASSERT_RMI(rmm.rtt_data_map(rd, kIpa, kIpa + kPageSize, {}, one(granule())));
  EXPECT_RMI(rmm.rtt_data_map(rd, kIpa, kIpa + kPageSize, {}, one(Hpa{1ULL << 48U})), Code::kInput);
}

}  // namespace
}  // namespace teeio::rmm
