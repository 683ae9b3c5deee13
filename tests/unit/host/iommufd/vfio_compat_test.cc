// The IOAS that VFIO's type 1 calls mean, and what only they can do: take parts
// of mappings away.

#include "host/iommufd/vfio_compat.h"

#include <gmock/gmock.h>

#include "unit/host/iommufd/machine.h"

namespace teeio::iommufd {
namespace {

using ::testing::ElementsAre;

constexpr auto kProt = iommu::Prot::kReadWrite;

struct VfioCompatTest : testing::Test {
  Result<void> map(std::uint64_t iova, std::uint64_t length, iommu::Prot prot = kProt) {
    return compat.map(m.program, {buffer + (iova - kBase), iova, length, prot});
  }
  Result<std::uint64_t> unmap(std::uint64_t iova, std::uint64_t length) {
    TEEIO_ASSIGN(const auto done, compat.unmap({iova, length}));
    TEEIO_TRY(done.end);
    return done.bytes;
  }
  void write(std::uint64_t iova, std::uint8_t value) {
    ASSERT_TRUE(m.program.write(buffer + (iova - kBase), bytes_of(value)).has_value());
  }

  static constexpr std::uint64_t kBase = 0x10'0000;
  Machine m;
  object::Ref<Context> ctx = Context::open(m.environment);
  VfioCompat compat{*ctx};
  ObjectId ioas = *ctx->ioas_alloc(0);
  std::uint64_t buffer = m.program.map(64 * kPageSize);
};

TEST_F(VfioCompatTest, WithoutAnIoasEveryCallIsEnodev) {
  EXPECT_EQ(error_of(compat.get()), Errno::kNoDev);
  EXPECT_EQ(error_of(compat.enforces_coherency()), Errno::kNoDev);
  EXPECT_EQ(error_of(compat.set_type(VfioCompat::Type::kType1v2)), Errno::kNoDev);
  EXPECT_EQ(error_of(compat.info()), Errno::kNoDev);
  EXPECT_EQ(error_of(map(kBase, kPageSize)), Errno::kNoDev);
  EXPECT_EQ(error_of(compat.unmap({kBase, kPageSize, true})), Errno::kNoDev) << "before the range";
}

TEST_F(VfioCompatTest, OnlyAnIoasCanBeSet) {
  Idevice* const idevice = *Idevice::bind(*ctx, m.first, {});
  EXPECT_EQ(error_of(compat.set(99)), Errno::kNoEnt);
  EXPECT_EQ(error_of(compat.set(idevice->id())), Errno::kNoEnt);
  ASSERT_TRUE(compat.set(ioas).has_value());
  EXPECT_EQ(*compat.get(), ioas);
  compat.clear();
  EXPECT_EQ(error_of(compat.get()), Errno::kNoDev);
  idevice->unbind();
}

// The id of a destroyed IOAS is given to the next one, which nobody has set.
TEST_F(VfioCompatTest, DestroyForgetsTheIoas) {
  ASSERT_TRUE(compat.set(ioas).has_value());
  ASSERT_TRUE(ctx->destroy(ioas).has_value());
  EXPECT_EQ(*ctx->ioas_alloc(0), ioas);
  EXPECT_EQ(error_of(compat.get()), Errno::kNoDev);
}

TEST_F(VfioCompatTest, ADestroyThatIsRefusedForgetsNothing) {
  ASSERT_TRUE(compat.set(ioas).has_value());
  Idevice* const idevice = *Idevice::bind(*ctx, m.first, {});
  ASSERT_TRUE(idevice->attach(ioas).has_value());
  EXPECT_EQ(error_of(ctx->destroy(ioas)), Errno::kBusy);
  EXPECT_EQ(*compat.get(), ioas);
  idevice->detach();
  idevice->unbind();
}

TEST_F(VfioCompatTest, UnmapOfNothingSucceedsAndOfAPartDoesNot) {
  ASSERT_TRUE(compat.set(ioas).has_value());
  EXPECT_EQ(*unmap(kBase, kPageSize), 0U);
  EXPECT_EQ(error_of(unmap(kBase, 0)), Errno::kInval);
  EXPECT_EQ(error_of(unmap(2, ~std::uint64_t{0})), Errno::kOverflow);
  ASSERT_TRUE(map(kBase, kPageSize).has_value());
  ASSERT_TRUE(map(kBase + kPageSize, 2 * kPageSize).has_value());
  // The whole mapping below the one that is cut is gone, and counted.
  const auto cut = compat.unmap({kBase, 2 * kPageSize});
  ASSERT_TRUE(cut.has_value());
  EXPECT_EQ(cut->bytes, kPageSize);
  EXPECT_EQ(error_of(cut->end), Errno::kNoEnt);
  EXPECT_EQ(error_of(compat.unmap({kBase, 0, true})), Errno::kInval);
  EXPECT_EQ(compat.unmap({0, 0, true})->bytes, 2 * kPageSize);
}

TEST_F(VfioCompatTest, Type1UnmapsPartsAndDmaReachesTheRest) {
  ASSERT_TRUE(compat.set(ioas).has_value());
  ASSERT_TRUE(compat.set_type(VfioCompat::Type::kType1).has_value());
  Idevice* const idevice = *Idevice::bind(*ctx, m.first, {});
  ASSERT_TRUE(idevice->attach(ioas).has_value());
  ASSERT_TRUE(map(kBase, 4 * kPageSize).has_value());
  write(kBase, 0x11);
  write(kBase + 3 * kPageSize, 0x33);
  EXPECT_EQ(*unmap(kBase + kPageSize, kPageSize), kPageSize);
  EXPECT_EQ(m.dma_read(Machine::kFirst, kBase), std::byte{0x11});
  EXPECT_FALSE(m.reach(Machine::kFirst, kBase + kPageSize));
  EXPECT_EQ(m.dma_read(Machine::kFirst, kBase + 3 * kPageSize), std::byte{0x33});
  EXPECT_EQ(error_of(unmap(kBase, kPageSize / 2)), Errno::kInval) << "off the alignment";
  EXPECT_EQ(*unmap(kBase, kPageSize), kPageSize);
  EXPECT_EQ(*unmap(kBase, 16 * kPageSize), 2 * kPageSize);
  idevice->detach();
  idevice->unbind();
}

TEST_F(VfioCompatTest, ACutMappingFillsAnotherDomainToo) {
  ASSERT_TRUE(compat.set(ioas).has_value());
  ASSERT_TRUE(compat.set_type(VfioCompat::Type::kType1).has_value());
  ASSERT_TRUE(map(kBase, 4 * kPageSize).has_value());
  ASSERT_EQ(*unmap(kBase + kPageSize, kPageSize), kPageSize);
  write(kBase + 2 * kPageSize, 0x22);
  Idevice* const idevice = *Idevice::bind(*ctx, m.first, {});
  ASSERT_TRUE(idevice->attach(ioas).has_value());
  EXPECT_FALSE(m.reach(Machine::kFirst, kBase + kPageSize));
  EXPECT_EQ(m.dma_read(Machine::kFirst, kBase + 2 * kPageSize), std::byte{0x22});
  idevice->detach();
  idevice->unbind();
}

TEST_F(VfioCompatTest, Type1IsTooLateWithMappingsInADomain) {
  ASSERT_TRUE(compat.set(ioas).has_value());
  Idevice* const idevice = *Idevice::bind(*ctx, m.first, {});
  ASSERT_TRUE(idevice->attach(ioas).has_value());
  ASSERT_TRUE(map(kBase, kPageSize).has_value());
  EXPECT_EQ(error_of(compat.set_type(VfioCompat::Type::kType1)), Errno::kInval);
  EXPECT_TRUE(compat.set_type(VfioCompat::Type::kType1v2).has_value());
  idevice->detach();
  idevice->unbind();
}

// Large pages may come back while small ones are mapped.
TEST_F(VfioCompatTest, MappingsOfSmallPagesAreUnmappedWhole) {
  ASSERT_TRUE(compat.set(ioas).has_value());
  ASSERT_TRUE(compat.set_type(VfioCompat::Type::kType1).has_value());
  Idevice* const idevice = *Idevice::bind(*ctx, m.first, {});
  ASSERT_TRUE(idevice->attach(ioas).has_value());
  ASSERT_TRUE(map(kBase, 4 * kPageSize).has_value());
  ASSERT_TRUE(ctx->set_ioas_huge_pages(ioas, 1).has_value());
  EXPECT_EQ(error_of(unmap(kBase, kPageSize)), Errno::kNoEnt) << "no cuts any more";
  EXPECT_EQ(*unmap(kBase, 4 * kPageSize), 4 * kPageSize);
  EXPECT_FALSE(m.reach(Machine::kFirst, kBase));
  idevice->detach();
  idevice->unbind();
}

TEST_F(VfioCompatTest, AMappingWithoutAccessIsRefusedByADomain) {
  ASSERT_TRUE(compat.set(ioas).has_value());
  EXPECT_TRUE(map(kBase, kPageSize, kNoAccess).has_value());
  Idevice* const idevice = *Idevice::bind(*ctx, m.first, {});
  EXPECT_EQ(error_of(idevice->attach(ioas)), Errno::kInval);
  const ObjectId other = *ctx->ioas_alloc(0);
  const std::uint32_t read = Context::kMapFixedIova | Context::kMapReadable;
  EXPECT_TRUE(ctx->ioas_copy({other, read, kPageSize, kBase}, ioas, kBase).has_value());
  EXPECT_TRUE(idevice->attach(other).has_value()) << "a copy may be readable";
  idevice->detach();
  EXPECT_EQ(*unmap(kBase, kPageSize), kPageSize);
  ASSERT_TRUE(idevice->attach(ioas).has_value());
  EXPECT_EQ(error_of(map(kBase, kPageSize, kNoAccess)), Errno::kInval);
  idevice->detach();
  ASSERT_TRUE(map(kBase, kPageSize).has_value());
  ASSERT_TRUE(map(kBase + kPageSize, kPageSize, kNoAccess).has_value());
  EXPECT_EQ(error_of(idevice->attach(ioas)), Errno::kInval) << "after a mapping that is filled";
  idevice->unbind();
}

TEST_F(VfioCompatTest, InfoIsThatOfTheDomains) {
  ASSERT_TRUE(compat.set(ioas).has_value());
  EXPECT_EQ(compat.info()->page_sizes, ~(kPageSize - 1)) << "no domain: any";
  EXPECT_THAT(compat.info()->usable, ElementsAre(IovaRange{0, IoPagetable::kLastIova}));
  Idevice* const idevice = *Idevice::bind(*ctx, m.first, {});
  ASSERT_TRUE(idevice->attach(ioas).has_value());
  EXPECT_EQ(compat.info()->page_sizes, 0x4020'1000U);
  EXPECT_EQ(compat.info()->usable.size(), 2U) << "below and above the interrupts' range";
  EXPECT_TRUE(*compat.enforces_coherency());
  idevice->detach();
  idevice->unbind();
}

}  // namespace
}  // namespace teeio::iommufd
