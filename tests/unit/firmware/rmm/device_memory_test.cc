// Ranges, blocks, lists and tables of a realm's device memory, and reports that are too long.
#include "unit/firmware/rmm/machine.h"

namespace teeio::rmm {
namespace {

constexpr std::uint64_t kBlock = 1U << 21U;

class DeviceMemory : public Machine {
 protected:
  void SetUp() override {
    unlocked();
    for (std::uint64_t i = 0; i < 4; ++i) ASSERT_RMI(delegate(kBar + i * kPageSize));
  }
  std::uint64_t pages(std::uint64_t first, std::uint64_t count) {
    return AddressDescriptor{.base = kBar + first * kPageSize, .count = count}.encode();
  }
};

TEST_F(DeviceMemory, ARangeIsMappedByOneDescriptorAndGivenBackByOne) {
  const RmiResult mapped = rmm.rtt_dev_map(rd, vdev, kIpa, kIpa + 4 * kPageSize, {}, pages(0, 4));
  ASSERT_RMI(mapped);
  EXPECT_EQ(mapped.x1, raw(kIpa + 4 * kPageSize));
  const RmiResult unmapped = rmm.rtt_dev_unmap(rd, kIpa, kIpa + 8 * kPageSize, {});
  ASSERT_RMI(unmapped);
  EXPECT_EQ(unmapped.x1, raw(kIpa + 8 * kPageSize));
  EXPECT_EQ(unmapped.x2, pages(0, 4));
}

TEST_F(DeviceMemory, WhatStopsItLaterIsNoError) {
  ASSERT_RMI(dev_map(kIpa + 2 * kPageSize, kBar + 3 * kPageSize));
  const RmiResult mapped = rmm.rtt_dev_map(rd, vdev, kIpa, kIpa + 4 * kPageSize, {}, pages(0, 3));
  ASSERT_RMI(mapped);
  EXPECT_EQ(mapped.x1, raw(kIpa + 2 * kPageSize));
}

TEST_F(DeviceMemory, UnmappingStopsWhereAddressesAreNotInARow) {
  ASSERT_RMI(dev_map(kIpa, kBar + 2 * kPageSize));
  ASSERT_RMI(dev_map(kIpa + kPageSize, kBar));
  const RmiResult first = rmm.rtt_dev_unmap(rd, kIpa, kIpa + 2 * kPageSize, {});
  ASSERT_RMI(first);
  EXPECT_EQ(first.x1, raw(kIpa + kPageSize));
  EXPECT_EQ(first.x2, pages(2, 1));
}

TEST_F(DeviceMemory, AListNamesAndTakesPagesOneByOne) {
  for (std::uint64_t i = 0; i < 2; ++i)
    ASSERT_TRUE(memory.write_u64(list + 8 * i, pages(3 - 2 * i, 1)));
  const AddressFlags two{.type = AddressFlags::kList, .count = 2};
  ASSERT_RMI(rmm.rtt_dev_map(rd, vdev, kIpa, kIpa + 2 * kPageSize, two, raw(list)));
  EXPECT_EQ(rmm.rtt_read_entry(rd, kIpa, 3).x3, raw(kBar + 3 * kPageSize));
  ASSERT_TRUE(memory.write_u64(list, 0));
  const RmiResult unmapped = rmm.rtt_dev_unmap(rd, kIpa, kIpa + 2 * kPageSize, two, raw(list));
  ASSERT_RMI(unmapped);
  EXPECT_EQ(unmapped.x3, 2U);
  EXPECT_EQ(*memory.read_u64(list), pages(3, 1));
}

// addr_list_add_block() looks at both ends of each run.
TEST_F(DeviceMemory, PagesThatAreNeighboursBackwardsAreOneRunOfAList) {
  for (std::uint64_t i = 0; i < 2; ++i)
    ASSERT_TRUE(memory.write_u64(list + 8 * i, pages(3 - i, 1)));
  const AddressFlags two{.type = AddressFlags::kList, .count = 2};
  ASSERT_RMI(rmm.rtt_dev_map(rd, vdev, kIpa, kIpa + 2 * kPageSize, two, raw(list)));
  const RmiResult unmapped = rmm.rtt_dev_unmap(rd, kIpa, kIpa + 2 * kPageSize, two, raw(list));
  ASSERT_RMI(unmapped);
  EXPECT_EQ(unmapped.x3, 1U);
  EXPECT_EQ(*memory.read_u64(list), pages(2, 2));
}

// An undelegated descriptor that comes first is refused; one behind ends what is mapped.
TEST_F(DeviceMemory, ADescriptorOfAnotherKindEndsTheRange) {
  const AddressDescriptor next{.base = kBar + kPageSize, .count = 1};
  const AddressFlags two{.type = AddressFlags::kList, .count = 2};
  const auto map_two = [&](AddressDescriptor second) {
    EXPECT_TRUE(memory.write_u64(list, pages(0, 1)));
    EXPECT_TRUE(memory.write_u64(list + 8, second.encode()));
    const auto mapped = rmm.rtt_dev_map(rd, vdev, kIpa, kIpa + 2 * kPageSize, two, raw(list));
    EXPECT_RMI(mapped, Code::kSuccess);
    EXPECT_RMI(rmm.rtt_dev_unmap(rd, kIpa, kIpa + 2 * kPageSize, {}), Code::kSuccess);
    return Gpa{mapped.x1};
  };
  AddressDescriptor undelegated = next;
  undelegated.undelegated = true;
  AddressDescriptor block = next;
  block.level = 2;
  EXPECT_EQ(map_two(next), kIpa + 2 * kPageSize);
  EXPECT_EQ(map_two(undelegated), kIpa + kPageSize);
  EXPECT_EQ(map_two(block), kIpa + kPageSize);
}

TEST_F(DeviceMemory, AWalkThatEndsEarlySaysWhere) {
  const Gpa far = kIpa + (std::uint64_t{1} << 30U);
  const RmiResult refused = dev_map(far, kBar);
  EXPECT_RMI(refused, Code::kRtt);
  EXPECT_EQ(refused.level, 1);
  const RmiResult near = dev_map(kIpa + kBlock, kBar);
  EXPECT_RMI(near, Code::kRtt);
  EXPECT_EQ(near.level, 2);
}

TEST_F(DeviceMemory, ATableThatGoesLeavesItsAddressesDestroyed) {
  ASSERT_RMI(rmm.rtt_destroy(rd, kIpa, 3));
  const RmiResult entry = rmm.rtt_read_entry(rd, kIpa, 3);
  EXPECT_EQ(entry.x1, 2U);
  EXPECT_EQ(entry.x4, static_cast<std::uint64_t>(Ripas::kDestroyed));
  ASSERT_RMI(rmm.rtt_create(rd, granule(), kIpa, 3));
  EXPECT_EQ(rmm.rtt_read_entry(rd, kIpa + kPageSize, 3).x4,
            static_cast<std::uint64_t>(Ripas::kDestroyed));
}

// smc_rtt_destroy(): x2, where a host that takes a realm down goes on.
TEST_F(DeviceMemory, WhoDestroysATableLearnsWhereTheNextIs) {
  const Gpa other = kIpa + 5 * kBlock;
  ASSERT_RMI(rmm.rtt_create(rd, granule(), other, 3));
  const RmiResult none = rmm.rtt_destroy(rd, kIpa + kBlock, 3);
  EXPECT_RMI(none, Code::kRtt);
  EXPECT_EQ(none.x2, raw(other));
  ASSERT_RMI(dev_map(kIpa, kBar));
  const RmiResult live = rmm.rtt_destroy(rd, kIpa, 3);
  EXPECT_RMI(live, Code::kRtt);
  EXPECT_EQ(live.x2, raw(kIpa));
  ASSERT_RMI(dev_unmap(kIpa));
  const RmiResult gone = rmm.rtt_destroy(rd, kIpa, 3);
  ASSERT_RMI(gone);
  EXPECT_EQ(gone.x2, raw(other));
  const RmiResult last = rmm.rtt_destroy(rd, other, 3);
  ASSERT_RMI(last);
  EXPECT_EQ(last.x2, raw(kIpa) + (std::uint64_t{1} << 30U));  // the end of the table above
}

TEST_F(DeviceMemory, ATableOutsideOfTheProtectedHalfLeavesNoState) {
  const Gpa shared{Rtt::kProtected};
  ASSERT_RMI(rmm.rtt_create(rd, granule(), shared, 2));
  ASSERT_RMI(rmm.rtt_destroy(rd, shared, 2));
  EXPECT_EQ(rmm.rtt_read_entry(rd, shared, 1).x4, static_cast<std::uint64_t>(Ripas::kEmpty));
}

// rtt_create(): s2tt_init_assigned_empty() and its like.
TEST_F(DeviceMemory, ATableBelowABlockMapsItsParts) {
  const Gpa base = kIpa + kBlock;
  const Hpa block = run_of(kBlock / kPageSize);
  ASSERT_RMI(rmm.rtt_data_map(rd, base, base + kBlock, {}, one(block, 2)));
  ASSERT_EQ(rmm.rsi_ipa_state_set(rec, base, base + kBlock, 1, false).code, RsiCode::kIncomplete);
  ASSERT_RMI(rmm.rtt_set_ripas(rd, rec, base, base + kBlock));
  ASSERT_RMI(rmm.rtt_create(rd, granule(), base, 3));
  const RmiResult page = rmm.rtt_read_entry(rd, base + 3 * kPageSize, 3);
  EXPECT_EQ(page.x1, 3U);
  EXPECT_EQ(page.x3, raw(block + 3 * kPageSize));
  EXPECT_EQ(page.x4, static_cast<std::uint64_t>(Ripas::kRam));
  ASSERT_TRUE(rmm.translate(rd, base + 5 * kPageSize));
  EXPECT_EQ(rmm.translate(rd, base + 5 * kPageSize)->page, block + 5 * kPageSize);
  EXPECT_RMI(rmm.rtt_destroy(rd, base, 3), Code::kRtt);
  ASSERT_RMI(rmm.rtt_data_unmap(rd, base, base + kPageSize, {}));
  EXPECT_RMI(undelegate(block), Code::kSuccess);
  EXPECT_RMI(undelegate(block + kPageSize), Code::kInput);
}

// dev_tdisp_report_main(): the buffer has 4096 bytes.
TEST_F(DeviceMemory, AReportOfMoreThanAPageIsAnError) {
  lock();
  device.report.device_info = Bytes(4096);
  ASSERT_RMI(rmm.vdev_get_interface_report(rd, pdev, vdev));
  ASSERT_RMI(drive_vdev());
  EXPECT_EQ(vdev_state(), VdevState::kError);
}

}  // namespace
}  // namespace teeio::rmm
