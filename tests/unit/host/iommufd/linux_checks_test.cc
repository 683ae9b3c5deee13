// Calls for things that no machine here has: what Linux finds wrong before it
// needs them, in its order. The same on a real kernel: oracle:iommufd_known_calls.

#include "unit/host/iommufd/machine.h"

namespace teeio::iommufd {
namespace {

struct LinuxChecksTest : testing::Test {
  Machine m;
  object::Ref<object::File> vm = m.make_vm();
  object::Ref<Context> ctx = Context::open(m.environment);
  ObjectId ioas = *ctx->ioas_alloc(0);
  std::uint64_t buffer = m.program.map(kPageSize);
};

TEST_F(LinuxChecksTest, ChangeProcessTakesMemfdsOnly) {
  EXPECT_TRUE(ctx->ioas_change_process().has_value());
  auto memfd = object::make_ref<mm::PlainMemfd>(kPageSize);
  ASSERT_TRUE(ctx->ioas_map_file(memfd, {ioas, kFixed, kPageSize, 0x10000}, 0).has_value());
  EXPECT_TRUE(ctx->ioas_change_process().has_value());
  const ObjectId other = *ctx->ioas_alloc(0);
  ASSERT_TRUE(ctx->ioas_map(m.program, {other, kFixed, kPageSize, 0x10000}, buffer).has_value());
  EXPECT_EQ(error_of(ctx->ioas_change_process()), Errno::kInval) << "any IOAS counts";
  ASSERT_TRUE(ctx->destroy(other).has_value());
  EXPECT_TRUE(ctx->ioas_change_process().has_value());
}

TEST_F(LinuxChecksTest, DirtyPagesAreRefusedInLinuxsOrder) {
  Idevice* const idevice = *Idevice::bind(*ctx, m.first, {});
  const ObjectId hwpt = *ctx->hwpt_alloc({.dev_id = idevice->id(), .pt_id = ioas});
  EXPECT_EQ(error_of(ctx->hwpt_set_dirty_tracking(ioas)), Errno::kNoEnt);
  EXPECT_EQ(error_of(ctx->hwpt_set_dirty_tracking(hwpt)), Errno::kOpNotSupp);
  EXPECT_EQ(error_of(ctx->hwpt_get_dirty_bitmap(ioas, {})), Errno::kNoEnt);
  EXPECT_EQ(error_of(ctx->hwpt_get_dirty_bitmap(hwpt, {0, 0, kPageSize})), Errno::kInval);
  EXPECT_EQ(error_of(ctx->hwpt_get_dirty_bitmap(hwpt, {~std::uint64_t{0}, kPageSize, kPageSize})),
            Errno::kOverflow);
  EXPECT_EQ(error_of(ctx->hwpt_get_dirty_bitmap(hwpt, {kPageSize, kPageSize + 1, 1})),
            Errno::kInval);
  EXPECT_EQ(error_of(ctx->hwpt_get_dirty_bitmap(hwpt, {kPageSize, kPageSize, 0})), Errno::kInval);
  EXPECT_EQ(error_of(ctx->hwpt_get_dirty_bitmap(hwpt, {kPageSize, kPageSize, 2 * kPageSize})),
            Errno::kInval);
  EXPECT_EQ(error_of(ctx->hwpt_get_dirty_bitmap(hwpt, {kPageSize, kPageSize, kPageSize})),
            Errno::kOpNotSupp);
  EXPECT_EQ(error_of(ctx->hwpt_invalidate(hwpt)), Errno::kInval);
  EXPECT_EQ(error_of(ctx->hwpt_invalidate(99)), Errno::kNoEnt);
  idevice->unbind();
}

// Of a vIOMMU mainline's answer is a driver's; a TSM's has no such operations.
TEST_F(LinuxChecksTest, AViommuHasNoCachesAndNoQueues) {
  Idevice* const idevice = *Idevice::bind(*ctx, m.first, {vm.get(), 1});
  const ObjectId hwpt =
      *ctx->hwpt_alloc({.flags = HwptPaging::kNestParent, .dev_id = idevice->id(), .pt_id = ioas});
  const ObjectId viommu =
      *ctx->viommu_alloc({.type = Viommu::kTypeTsm, .dev_id = idevice->id(), .hwpt_id = hwpt});
  EXPECT_EQ(error_of(ctx->hwpt_invalidate(viommu)), Errno::kOpNotSupp);
  EXPECT_TRUE(ctx->check_viommu(viommu).has_value());
  EXPECT_EQ(error_of(ctx->check_viommu(hwpt)), Errno::kNoEnt);
  EXPECT_TRUE(ctx->destroy(viommu).has_value()) << "nothing holds it";
  idevice->unbind();
}

}  // namespace
}  // namespace teeio::iommufd
