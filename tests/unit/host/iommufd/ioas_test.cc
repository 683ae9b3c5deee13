#include <gmock/gmock.h>

#include "unit/host/iommufd/machine.h"

namespace teeio::iommufd {
namespace {

using ::testing::ElementsAre;

constexpr std::uint64_t kMax = ~std::uint64_t{0};

class IoasTest : public testing::Test {
 protected:
  Result<std::uint64_t> map(std::uint64_t iova, std::uint64_t length,
                            std::uint32_t flags = kFixed) {
    return ctx->ioas_map(m.program, {ioas, flags, length, iova}, buffer);
  }
  Result<std::uint64_t> unmap(std::uint64_t iova, std::uint64_t length) {
    return ctx->ioas_unmap(ioas, iova, length);
  }

  Machine m;
  object::Ref<Context> ctx = Context::open(m.environment);
  ObjectId ioas = *ctx->ioas_alloc(0);
  std::uint64_t buffer = m.program.map(64 * kPageSize);
};

TEST_F(IoasTest, FlagsThatAreUnknownOrMissingAreRefused) {
  EXPECT_EQ(error_of(ctx->ioas_alloc(1)), Errno::kOpNotSupp);
  EXPECT_EQ(error_of(map(0x1000, kPageSize, kFixed | 8)), Errno::kOpNotSupp);
  EXPECT_EQ(error_of(map(0x1000, kPageSize, Context::kMapFixedIova)), Errno::kInval);
  EXPECT_EQ(error_of(ctx->ioas_map(m.program, {99, kFixed, kPageSize, 0}, buffer)), Errno::kNoEnt);
}

TEST_F(IoasTest, LengthsAndAddressesThatOverflowAreRefused) {
  EXPECT_EQ(error_of(map(0x1000, 0)), Errno::kInval);
  EXPECT_EQ(error_of(map(kMax, kPageSize)), Errno::kOverflow);
  EXPECT_EQ(error_of(map(0x1000, kMax)), Errno::kOverflow);
  EXPECT_EQ(error_of(map(kMax - kPageSize + 2, kPageSize)), Errno::kOverflow);
  EXPECT_EQ(error_of(ctx->ioas_map(m.program, {ioas, kFixed, kPageSize, 0x1000}, kMax - 1)),
            Errno::kOverflow);
}

TEST_F(IoasTest, AMappedRangeIsRefusedAndUntouched) {
  EXPECT_EQ(*map(0x4000, 2 * kPageSize), 0x4000U);
  EXPECT_EQ(error_of(map(0x5000, kPageSize)), Errno::kExist);
  EXPECT_EQ(error_of(map(0x3000, 2 * kPageSize)), Errno::kExist);
  EXPECT_EQ(*map(0x3000, kPageSize), 0x3000U);
  EXPECT_EQ(*unmap(0, kMax), 3 * kPageSize);
}

TEST_F(IoasTest, UnmapTakesWholeMappingsOnly) {
  ASSERT_TRUE(map(0x4000, 2 * kPageSize).has_value());
  ASSERT_TRUE(map(0x8000, kPageSize).has_value());
  EXPECT_EQ(error_of(unmap(0x4000, kPageSize)), Errno::kNoEnt);
  EXPECT_EQ(error_of(unmap(0x5000, kPageSize)), Errno::kNoEnt);
  EXPECT_EQ(error_of(unmap(0x10000, kPageSize)), Errno::kNoEnt);
  EXPECT_EQ(error_of(unmap(0x4000, 0)), Errno::kInval);
  EXPECT_EQ(error_of(unmap(kMax, 1)), Errno::kOverflow);
  EXPECT_EQ(*unmap(0x3000, 0x8000), 3 * kPageSize) << "holes between mappings do not matter";
  EXPECT_EQ(*unmap(0, kMax), 0U) << "unmapping all of nothing succeeds";
}

// The areas below the one that is cut are gone already, as in Linux.
TEST_F(IoasTest, AnUnmapThatCutsTheSecondMappingHasTakenTheFirst) {
  ASSERT_TRUE(map(0x4000, kPageSize).has_value());
  ASSERT_TRUE(map(0x5000, 2 * kPageSize).has_value());
  EXPECT_EQ(error_of(unmap(0x4000, 2 * kPageSize)), Errno::kNoEnt);
  EXPECT_EQ(*unmap(0, kMax), 2 * kPageSize);
}

TEST_F(IoasTest, AllocationTakesTheLowestHoleWithTheMemorysAlignment) {
  // The buffer starts at 1 MiB: 64 KiB from there keep 64 KiB of alignment.
  ASSERT_EQ(buffer, 0x10'0000U);
  EXPECT_EQ(*map(0, 16 * kPageSize, kReadWrite), 0x10000U);
  EXPECT_EQ(*map(0, kPageSize, kReadWrite), 0x1000U);
  EXPECT_EQ(*map(0, kPageSize, kReadWrite), 0x2000U);
  EXPECT_EQ(*map(0, 16 * kPageSize, kReadWrite), 0x20000U);
  ASSERT_TRUE(unmap(0x1000, kPageSize).has_value());
  EXPECT_EQ(*map(0, kPageSize, kReadWrite), 0x1000U) << "a freed hole is found again";
  EXPECT_EQ(*map(0, kPageSize, kReadWrite), 0x3000U);
}

TEST_F(IoasTest, AllocationGoesRoundMappingsOfEveryLength) {
  ASSERT_TRUE(map(0x1000, 3 * kPageSize).has_value());
  ASSERT_TRUE(map(0x5000, kPageSize).has_value());
  EXPECT_EQ(*map(0, 2 * kPageSize, kReadWrite), 0x6000U);
  EXPECT_EQ(*map(0, kPageSize, kReadWrite), 0x4000U) << "too short for two is right for one";
  EXPECT_EQ(*map(0, kPageSize, kReadWrite), 0x8000U);
}

TEST_F(IoasTest, AllocationStaysWhereItIsAllowed) {
  ASSERT_TRUE(ctx->ioas_allow_iovas(ioas, {{0x8000, 0x9fff}, {0x20000, 0x2ffff}}).has_value());
  EXPECT_EQ(*map(0, kPageSize, kReadWrite), 0x8000U);
  EXPECT_EQ(*map(0, kPageSize, kReadWrite), 0x9000U);
  EXPECT_EQ(*map(0, kPageSize, kReadWrite), 0x20000U);
  EXPECT_EQ(error_of(map(0, 32 * kPageSize, kReadWrite)), Errno::kNoSpc);
  EXPECT_EQ(*map(0x4000, kPageSize), 0x4000U) << "a fixed IOVA may lie elsewhere";
}

TEST_F(IoasTest, AllowedRangesMustBeOrdinary) {
  EXPECT_EQ(error_of(ctx->ioas_allow_iovas(ioas, {{0x1000, 0x1000}})), Errno::kInval);
  EXPECT_EQ(error_of(ctx->ioas_allow_iovas(ioas, {{0x1000, 0x2fff}, {0x2000, 0x3fff}})),
            Errno::kInval);
  EXPECT_EQ(error_of(ctx->ioas_allow_iovas(99, {})), Errno::kNoEnt);
}

TEST_F(IoasTest, WithoutAHwptEveryIovaAndAnyAlignmentIsUsable) {
  const auto ranges = *ctx->ioas_iova_ranges(ioas);
  EXPECT_THAT(ranges.usable, ElementsAre(IovaRange{0, kMax}));
  EXPECT_EQ(ranges.alignment, 1U);
  EXPECT_EQ(*ctx->ioas_map(m.program, {ioas, kFixed, 10, 0x1003}, buffer + 5), 0x1003U);
  EXPECT_EQ(*unmap(0x1003, 10), 10U);
}

// Linux pins when the first HWPT needs the pages.
TEST_F(IoasTest, MemoryThatIsNotThereIsFoundOnlyByAHwpt) {
  Idevice* const idevice = *Idevice::bind(*ctx, m.first, {});
  const ObjectId dev = idevice->id();
  EXPECT_TRUE(ctx->ioas_map(m.program, {ioas, kFixed, kPageSize, 0x1000}, 0x2000).has_value());
  EXPECT_EQ(error_of(ctx->hwpt_alloc({.dev_id = dev, .pt_id = ioas}, no_data)), Errno::kFault);
  ASSERT_TRUE(unmap(0x1000, kPageSize).has_value());
  ASSERT_TRUE(ctx->hwpt_alloc({.dev_id = dev, .pt_id = ioas}, no_data).has_value());
  EXPECT_EQ(error_of(ctx->ioas_map(m.program, {ioas, kFixed, kPageSize, 0x1000}, 0x1000)),
            Errno::kFault);
  EXPECT_EQ(error_of(unmap(0x1000, kPageSize)), Errno::kNoEnt) << "nothing of it is left";
  idevice->unbind();
}

TEST_F(IoasTest, WhatWasFilledBeforeAMappingFailsIsTakenOutAgain) {
  Idevice* const idevice = *Idevice::bind(*ctx, m.first, {});
  ASSERT_TRUE(map(0x1000, kPageSize).has_value());
  ASSERT_TRUE(ctx->ioas_copy({ioas, kFixed, kPageSize, 0x2000}, ioas, 0x1000).has_value());
  EXPECT_TRUE(ctx->ioas_map(m.program, {ioas, kFixed, kPageSize, 0x3000}, 0x2000).has_value());
  EXPECT_EQ(error_of(ctx->hwpt_alloc({.dev_id = idevice->id(), .pt_id = ioas}, no_data)),
            Errno::kFault);
  EXPECT_EQ(*unmap(0, kMax), 3 * kPageSize) << "no domain holds the pages";
  idevice->unbind();
}

TEST_F(IoasTest, CopySharesThePagesOfOneOrSeveralMappings) {
  ASSERT_TRUE(map(0x4000, 2 * kPageSize).has_value());
  ASSERT_TRUE(map(0x6000, kPageSize).has_value());
  const ObjectId other = *ctx->ioas_alloc(0);
  EXPECT_EQ(*ctx->ioas_copy({other, kFixed, 2 * kPageSize, 0x9000}, ioas, 0x5000), 0x9000U);
  EXPECT_EQ(*unmap(0, kMax), 3 * kPageSize);
  EXPECT_EQ(*ctx->ioas_unmap(other, 0, kMax), 2 * kPageSize);
}

TEST_F(IoasTest, CopyRefusesGapsAndMoreRightsThanTheSourceHas) {
  ASSERT_TRUE(map(0x4000, kPageSize, Context::kMapFixedIova | Context::kMapReadable).has_value());
  EXPECT_EQ(error_of(ctx->ioas_copy({ioas, kFixed, kPageSize, 0x9000}, ioas, 0x4000)),
            Errno::kPerm);
  EXPECT_EQ(error_of(ctx->ioas_copy({ioas, kFixed, 2 * kPageSize, 0x9000}, ioas, 0x4000)),
            Errno::kNoEnt);
  EXPECT_EQ(error_of(ctx->ioas_copy({ioas, kFixed, 0, 0x9000}, ioas, 0x4000)), Errno::kInval);
  EXPECT_EQ(error_of(ctx->ioas_copy({ioas, kFixed, kPageSize, 0x9000}, 99, 0x4000)), Errno::kNoEnt);
}

TEST_F(IoasTest, OptionsAnswerAsLinuxDoes) {
  EXPECT_TRUE(*ctx->ioas_huge_pages(ioas));
  EXPECT_EQ(error_of(ctx->set_ioas_huge_pages(ioas, 2)), Errno::kInval);
  EXPECT_TRUE(ctx->set_ioas_huge_pages(ioas, 0).has_value());
  EXPECT_FALSE(*ctx->ioas_huge_pages(ioas));
  EXPECT_EQ(ctx->ioas_iova_ranges(ioas)->alignment, kPageSize);
  EXPECT_EQ(error_of(ctx->set_rlimit_mode(1)), Errno::kBusy);
  ASSERT_TRUE(ctx->destroy(ioas).has_value());
  EXPECT_EQ(error_of(ctx->set_rlimit_mode(2)), Errno::kInval);
  EXPECT_TRUE(ctx->set_rlimit_mode(1).has_value());
  EXPECT_EQ(ctx->rlimit_mode(), 1U);
}

}  // namespace
}  // namespace teeio::iommufd
