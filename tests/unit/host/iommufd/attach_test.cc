#include <gmock/gmock.h>

#include <array>

#include "unit/host/iommufd/machine.h"

namespace teeio::iommufd {
namespace {

using ::testing::ElementsAre;

class AttachTest : public testing::Test {
 protected:
  Idevice& bind(TestDevice& device) { return **Idevice::bind(*ctx, device, {}); }
  void map(std::uint64_t iova, std::uint64_t length, std::uint64_t from) {
    ASSERT_TRUE(ctx->ioas_map(m.program, {ioas, kFixed, length, iova}, from).has_value());
  }
  void put(std::uint64_t address, std::byte value) {
    ASSERT_TRUE(m.program.write(address, {&value, 1}).has_value());
  }

  Machine m;
  object::Ref<Context> ctx = Context::open(m.environment);
  ObjectId ioas = *ctx->ioas_alloc(0);
  std::uint64_t buffer = m.program.map(64 * kPageSize);
};

TEST_F(AttachTest, DmaReachesTheProgramsMemoryAndStopsAtUnmap) {
  Idevice& nic = bind(m.first);
  map(0x10000, 4 * kPageSize, buffer);
  put(buffer + kPageSize + 3, std::byte{0x5a});
  EXPECT_FALSE(m.dma_read(Machine::kFirst, 0x11003)) << "not attached yet";
  ASSERT_TRUE(nic.attach(ioas).has_value());
  EXPECT_EQ(m.dma_read(Machine::kFirst, 0x11003), std::byte{0x5a});
  map(0x20000, kPageSize, buffer + 8 * kPageSize);  // what is mapped later is there too
  put(buffer + 8 * kPageSize, std::byte{0x11});
  EXPECT_EQ(m.dma_read(Machine::kFirst, 0x20000), std::byte{0x11});
  ASSERT_TRUE(ctx->ioas_unmap(ioas, 0x10000, 4 * kPageSize).has_value());
  EXPECT_FALSE(m.dma_read(Machine::kFirst, 0x11003));
  EXPECT_EQ(m.dma_read(Machine::kFirst, 0x20000), std::byte{0x11});
  nic.detach();
  EXPECT_FALSE(m.dma_read(Machine::kFirst, 0x20000));
  nic.unbind();
}

TEST_F(AttachTest, DmaWritesAreSeenByTheProgramUnlessMappedForReading) {
  Idevice& nic = bind(m.first);
  ASSERT_TRUE(nic.attach(ioas).has_value());
  map(0x10000, kPageSize, buffer);
  ASSERT_TRUE(
      ctx->ioas_map(m.program,
                    {ioas, Context::kMapFixedIova | Context::kMapReadable, kPageSize, 0x20000},
                    buffer)
          .has_value());
  const std::array value = {std::byte{0x77}};
  ASSERT_TRUE(
      m.memory.write(*m.reach(Machine::kFirst, 0x10000, hw::DmaAccess::kWrite), value).has_value());
  std::array<std::byte, 1> seen{};
  ASSERT_TRUE(m.program.read(buffer, seen).has_value());
  EXPECT_EQ(seen, value);
  EXPECT_FALSE(m.reach(Machine::kFirst, 0x20000, hw::DmaAccess::kWrite));
  nic.detach();
  nic.unbind();
}

TEST_F(AttachTest, AnAttachedIoasLosesTheInterruptRangeAndTheTop) {
  Idevice& nic = bind(m.first);
  ASSERT_TRUE(nic.attach(ioas).has_value());
  const auto ranges = *ctx->ioas_iova_ranges(ioas);
  EXPECT_THAT(ranges.usable, ElementsAre(IovaRange{0, 0xfedf'ffff},
                                         IovaRange{0xfef0'0000, (std::uint64_t{1} << 48U) - 1}));
  EXPECT_EQ(ranges.alignment, kPageSize);
  EXPECT_EQ(error_of(ctx->ioas_map(m.program, {ioas, kFixed, kPageSize, 0xfee0'0000}, buffer)),
            Errno::kInval);
  EXPECT_EQ(error_of(ctx->ioas_map(m.program, {ioas, kFixed, kPageSize, 0x10001}, buffer)),
            Errno::kInval);
  EXPECT_EQ(error_of(ctx->ioas_map(m.program, {ioas, kFixed, 5, 0x10000}, buffer)), Errno::kInval);
  EXPECT_EQ(error_of(ctx->ioas_map(m.program, {ioas, kFixed, kPageSize, 0x10000}, buffer + 4)),
            Errno::kInval);
  nic.detach();
  EXPECT_EQ(ctx->ioas_iova_ranges(ioas)->usable.size(), 1U);
  EXPECT_EQ(ctx->ioas_iova_ranges(ioas)->alignment, 1U);
  nic.unbind();
}

TEST_F(AttachTest, MappingsThatTheDeviceCannotHaveRefuseTheAttach) {
  Idevice& nic = bind(m.first);
  map(0xfee0'0000, kPageSize, buffer);
  EXPECT_EQ(error_of(nic.attach(ioas)), Errno::kAddrInUse);
  ASSERT_TRUE(ctx->ioas_unmap(ioas, 0xfee0'0000, kPageSize).has_value());
  map(0x1003, 10, buffer);
  EXPECT_EQ(error_of(nic.attach(ioas)), Errno::kAddrInUse);
  ASSERT_TRUE(ctx->ioas_unmap(ioas, 0x1003, 10).has_value());
  map(std::uint64_t{1} << 50U, kPageSize, buffer);
  EXPECT_EQ(error_of(nic.attach(ioas)), Errno::kAddrInUse);
  ASSERT_TRUE(ctx->ioas_unmap(ioas, std::uint64_t{1} << 50U, kPageSize).has_value());
  ASSERT_TRUE(ctx->ioas_allow_iovas(ioas, {{0, 0xffff'ffff}}).has_value());
  EXPECT_EQ(error_of(nic.attach(ioas)), Errno::kAddrInUse);
  ASSERT_TRUE(ctx->ioas_allow_iovas(ioas, {}).has_value());
  EXPECT_TRUE(nic.attach(ioas).has_value());
  nic.detach();
  nic.unbind();
}

TEST_F(AttachTest, AutomaticHwptsAreSharedAndGoWithTheLastDevice) {
  Idevice& nic = bind(m.first);
  Idevice& disk = bind(m.second);
  const ObjectId hwpt = *nic.attach(ioas);
  EXPECT_EQ(*disk.attach(ioas), hwpt);
  EXPECT_EQ(error_of(ctx->destroy(hwpt)), Errno::kBusy);
  EXPECT_EQ(error_of(ctx->destroy(ioas)), Errno::kBusy);
  nic.detach();
  EXPECT_TRUE(find<HwptPaging>(ctx->objects(), hwpt).has_value());
  disk.detach();
  EXPECT_FALSE(find<HwptPaging>(ctx->objects(), hwpt).has_value());
  EXPECT_TRUE(ctx->destroy(ioas).has_value());
  nic.unbind();
  disk.unbind();
}

TEST_F(AttachTest, AHwptMadeByHandStays) {
  Idevice& nic = bind(m.first);
  const ObjectId hwpt = *ctx->hwpt_alloc({.dev_id = nic.id(), .pt_id = ioas}, no_data);
  EXPECT_EQ(*nic.attach(hwpt), hwpt);
  EXPECT_EQ(error_of(ctx->destroy(hwpt)), Errno::kBusy);
  nic.detach();
  EXPECT_TRUE(ctx->destroy(hwpt).has_value());
  nic.unbind();
}

TEST_F(AttachTest, AttachRefusesWrongIdsAndASecondTime) {
  Idevice& nic = bind(m.first);
  EXPECT_EQ(error_of(nic.attach(99)), Errno::kNoEnt);
  EXPECT_EQ(error_of(nic.attach(nic.id())), Errno::kInval);
  EXPECT_EQ(error_of(nic.replace(ioas)), Errno::kInval) << "there is nothing to replace";
  ASSERT_TRUE(nic.attach(ioas).has_value());
  EXPECT_EQ(error_of(nic.attach(ioas)), Errno::kBusy);
  nic.detach();
  nic.unbind();
}

TEST_F(AttachTest, OneGroupHasOneHwpt) {
  Idevice& disk = bind(m.second);
  Idevice& third = bind(m.third);
  const ObjectId one = *ctx->hwpt_alloc({.dev_id = disk.id(), .pt_id = ioas}, no_data);
  const ObjectId two = *ctx->hwpt_alloc({.dev_id = disk.id(), .pt_id = ioas}, no_data);
  ASSERT_TRUE(disk.attach(one).has_value());
  EXPECT_EQ(error_of(third.attach(two)), Errno::kInval);
  ASSERT_TRUE(third.attach(one).has_value());
  disk.detach();
  map(0x1000, kPageSize, buffer);
  EXPECT_TRUE(m.reach(Machine::kSecond, 0x1000)) << "the group stays with its last device";
  third.detach();
  EXPECT_FALSE(m.reach(Machine::kSecond, 0x1000));
  disk.unbind();
  third.unbind();
}

TEST_F(AttachTest, ReplaceMovesTheWholeGroupAndDropsTheOldAutomaticHwpt) {
  Idevice& disk = bind(m.second);
  Idevice& third = bind(m.third);
  map(0x1000, kPageSize, buffer);
  const ObjectId other = *ctx->ioas_alloc(0);
  const ObjectId old = *disk.attach(ioas);
  ASSERT_TRUE(third.attach(ioas).has_value());
  const ObjectId fresh = *disk.replace(other);
  EXPECT_NE(fresh, old);
  EXPECT_FALSE(m.reach(Machine::kThird, 0x1000));
  EXPECT_FALSE(find<HwptPaging>(ctx->objects(), old).has_value());
  EXPECT_EQ(ctx->ioas_iova_ranges(ioas)->usable.size(), 1U);
  EXPECT_EQ(*disk.replace(other), fresh);
  disk.detach();
  third.detach();
  EXPECT_FALSE(find<HwptPaging>(ctx->objects(), fresh).has_value());
  disk.unbind();
  third.unbind();
}

TEST_F(AttachTest, AFailedReplaceChangesNothing) {
  Idevice& nic = bind(m.first);
  const ObjectId old = *nic.attach(ioas);
  const ObjectId other = *ctx->ioas_alloc(0);
  ASSERT_TRUE(
      ctx->ioas_map(m.program, {other, kFixed, kPageSize, 0xfee0'0000}, buffer).has_value());
  EXPECT_EQ(error_of(nic.replace(other)), Errno::kAddrInUse);
  map(0x1000, kPageSize, buffer);
  EXPECT_TRUE(m.reach(Machine::kFirst, 0x1000));
  EXPECT_TRUE(find<HwptPaging>(ctx->objects(), old).has_value());
  nic.detach();
  nic.unbind();
}

TEST_F(AttachTest, HwptAllocRefusesAsLinuxDoes) {
  Idevice& nic = bind(m.first);
  const ObjectId dev = nic.id();
  auto alloc = [&](Context::HwptAlloc args) { return error_of(ctx->hwpt_alloc(args, no_data)); };
  NoData only_type(1, 0), only_length(0, 8), both(1, 8);
  const Context::HwptAlloc plain{.dev_id = dev, .pt_id = ioas};
  EXPECT_EQ(error_of(ctx->hwpt_alloc(plain, only_type)), Errno::kInval);
  EXPECT_EQ(error_of(ctx->hwpt_alloc(plain, only_length)), Errno::kInval);
  EXPECT_EQ(error_of(ctx->hwpt_alloc(plain, both)), Errno::kOpNotSupp);
  EXPECT_EQ(alloc({.dev_id = 99, .pt_id = ioas}), Errno::kNoEnt);
  EXPECT_EQ(alloc({.dev_id = dev, .pt_id = 99}), Errno::kInval);
  EXPECT_EQ(alloc({.dev_id = dev, .pt_id = dev}), Errno::kInval);
  EXPECT_EQ(alloc({.flags = 16, .dev_id = dev, .pt_id = ioas}), Errno::kOpNotSupp);
  EXPECT_EQ(alloc({.flags = HwptPaging::kFaultIdValid | HwptPaging::kNestParent,
                   .dev_id = dev,
                   .pt_id = ioas}),
            Errno::kOpNotSupp);
  EXPECT_EQ(alloc({.flags = HwptPaging::kFaultIdValid, .dev_id = dev, .pt_id = ioas}),
            Errno::kNoEnt);
  const ObjectId hwpt =
      *ctx->hwpt_alloc({.flags = HwptPaging::kNestParent, .dev_id = dev, .pt_id = ioas}, no_data);
  EXPECT_EQ(alloc({.dev_id = dev, .pt_id = hwpt}), Errno::kOpNotSupp);
  EXPECT_EQ(error_of(ctx->destroy(ioas)), Errno::kBusy) << "failed ones gave the IOAS back, "
                                                           "the good one has it";
  ASSERT_TRUE(ctx->destroy(hwpt).has_value());
  EXPECT_TRUE(ctx->destroy(ioas).has_value());
  nic.unbind();
}

TEST_F(AttachTest, HwInfoIsTheIommus) {
  Idevice& nic = bind(m.first);
  const auto info = *ctx->hw_info(nic.id(), 0);
  EXPECT_EQ(info.iommu.type, 1U);
  EXPECT_EQ(info.iommu.data, m.driver->hw_info(0)->data);
  EXPECT_TRUE(ctx->hw_info(nic.id(), 1).has_value());
  EXPECT_EQ(error_of(ctx->hw_info(nic.id(), 2)), Errno::kOpNotSupp);
  EXPECT_EQ(error_of(ctx->hw_info(99, 0)), Errno::kNoEnt);
  nic.unbind();
}

TEST_F(AttachTest, AGroupBelongsToOneContext) {
  Idevice& disk = bind(m.second);
  auto other = Context::open(m.environment);
  EXPECT_EQ(error_of(Idevice::bind(*other, m.third, {})), Errno::kPerm);
  EXPECT_TRUE(other->objects().empty()) << "a failed bind takes no id";
  disk.unbind();
  Idevice* third = *Idevice::bind(*other, m.third, {});
  third->unbind();
}

TEST_F(AttachTest, ADeviceKeepsItsContextOpenAndCannotBeDestroyedById) {
  Idevice& nic = bind(m.first);
  EXPECT_EQ(error_of(ctx->destroy(nic.id())), Errno::kBusy);
  ASSERT_TRUE(nic.attach(ioas).has_value());
  map(0x1000, kPageSize, buffer);
  ctx.reset();  // the program's close: VFIO still has the file
  EXPECT_TRUE(m.reach(Machine::kFirst, 0x1000));
  nic.detach();
  nic.unbind();  // and here everything goes
  EXPECT_EQ(m.count(object::Fact::kIdeviceDestroyed), 1U);
  EXPECT_EQ(m.count(object::Fact::kRefLeaked), 0U);
}

TEST_F(AttachTest, ClosingTheFileUnmapsAndDestroysEverything) {
  Idevice& nic = bind(m.first);
  const std::uint64_t before = m.memory.pages_in_use();
  ASSERT_TRUE(ctx->hwpt_alloc({.dev_id = nic.id(), .pt_id = ioas}, no_data).has_value());
  map(0x1000, kPageSize, buffer);
  nic.unbind();
  ctx.reset();
  EXPECT_EQ(m.memory.pages_in_use(), before) << "page tables are given back";
  EXPECT_EQ(m.count(object::Fact::kRefLeaked), 0U);
}

TEST_F(AttachTest, WithoutLargePagesMappingsAreTheSame) {
  Idevice& nic = bind(m.first);
  ASSERT_TRUE(ctx->set_ioas_huge_pages(ioas, 0).has_value());
  map(0x20'0000, 64 * kPageSize, buffer);
  ASSERT_TRUE(nic.attach(ioas).has_value());
  put(buffer + 63 * kPageSize, std::byte{9});
  EXPECT_EQ(m.dma_read(Machine::kFirst, 0x20'0000 + 63 * kPageSize), std::byte{9});
  EXPECT_EQ(error_of(ctx->destroy(ioas)), Errno::kBusy);
  ASSERT_TRUE(ctx->ioas_unmap(ioas, 0x20'0000, 64 * kPageSize).has_value());
  EXPECT_FALSE(m.reach(Machine::kFirst, 0x20'0000));
  nic.detach();
  nic.unbind();
}

}  // namespace
}  // namespace teeio::iommufd
