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
  struct Nothing final : iommu::DirtyTracking::Visitor {
    void dirty(std::uint64_t, std::uint64_t) override {}
  } nothing;
  const auto read_dirty = [&](ObjectId id, const IoPagetable::DirtyRange& range) {
    return ctx->hwpt_read_dirty(id, range, iommu::DirtyTracking::Clear::kNo, nothing);
  };
  Idevice* const idevice = *Idevice::bind(*ctx, m.first, {});
  const ObjectId hwpt = *ctx->hwpt_alloc({.dev_id = idevice->id(), .pt_id = ioas}, no_data);
  EXPECT_EQ(error_of(ctx->hwpt_set_dirty_tracking(ioas, true)), Errno::kNoEnt);
  EXPECT_EQ(error_of(ctx->hwpt_set_dirty_tracking(hwpt, true)), Errno::kOpNotSupp);
  EXPECT_EQ(error_of(read_dirty(ioas, {})), Errno::kNoEnt);
  EXPECT_EQ(error_of(read_dirty(hwpt, {0, 0, kPageSize})), Errno::kInval);
  EXPECT_EQ(error_of(read_dirty(hwpt, {~std::uint64_t{0}, kPageSize, kPageSize})),
            Errno::kOverflow);
  EXPECT_EQ(error_of(read_dirty(hwpt, {kPageSize, kPageSize + 1, 1})), Errno::kInval);
  EXPECT_EQ(error_of(read_dirty(hwpt, {kPageSize, kPageSize, 0})), Errno::kInval);
  EXPECT_EQ(error_of(read_dirty(hwpt, {kPageSize, kPageSize, 2 * kPageSize})), Errno::kInval);
  EXPECT_EQ(error_of(read_dirty(hwpt, {kPageSize, kPageSize, kPageSize})), Errno::kOpNotSupp);
  std::uint32_t done = 0;
  EXPECT_EQ(error_of(ctx->hwpt_invalidate(hwpt, no_data, done)), Errno::kInval);
  EXPECT_EQ(error_of(ctx->hwpt_invalidate(99, no_data, done)), Errno::kNoEnt);
  idevice->unbind();
}

// Of a vIOMMU mainline's answer is a driver's; a TSM's has no such operations.
TEST_F(LinuxChecksTest, AViommuHasNoCachesAndNoQueues) {
  Idevice* const idevice = *Idevice::bind(*ctx, m.first, {vm.get(), 1});
  const ObjectId hwpt = *ctx->hwpt_alloc(
      {.flags = HwptPaging::kNestParent, .dev_id = idevice->id(), .pt_id = ioas}, no_data);
  const ObjectId viommu = *ctx->viommu_alloc(
      {.type = Viommu::kTypeTsm, .dev_id = idevice->id(), .hwpt_id = hwpt}, no_data);
  std::uint32_t done = 0;
  EXPECT_EQ(error_of(ctx->hwpt_invalidate(viommu, no_data, done)), Errno::kOpNotSupp);
  EXPECT_EQ(error_of(ctx->veventq_alloc(viommu, 1, 1)), Errno::kOpNotSupp);
  EXPECT_EQ(error_of(ctx->veventq_alloc(hwpt, 1, 1)), Errno::kNoEnt);
  EXPECT_EQ(error_of(ctx->hw_queue_alloc(viommu, {.type = 1, .length = 1})), Errno::kOpNotSupp);
  EXPECT_EQ(error_of(ctx->hw_queue_alloc(hwpt, {.type = 1, .length = 1})), Errno::kNoEnt);
  EXPECT_TRUE(ctx->destroy(viommu).has_value()) << "nothing holds it";
  idevice->unbind();
}

}  // namespace
}  // namespace teeio::iommufd
