#include <array>

#include "host/dmabuf/dmabuf.h"
#include "unit/host/iommufd/machine.h"

namespace teeio::iommufd {
namespace {

using dmabuf::DmaBuf;
using object::Ref;

constexpr Hpa kBar{0x8000'0000};

class BarExporter final : public dmabuf::Exporter {
 public:
  Bdf function() const override { return Machine::kSecond; }
  object::File* vm_file() override { return nullptr; }
  void released(DmaBuf&) override { ++releases; }
  int releases = 0;
};

class MapFileTest : public testing::Test {
 protected:
  Ref<DmaBuf> bar(std::uint64_t pages = 16, DmaBuf::State state = DmaBuf::State::kAvailable) {
    return DmaBuf::create(exporter, {{kBar, pages * kPageSize}}, state);
  }
  Result<std::uint64_t> map(Ref<object::File> file, std::uint64_t iova, std::uint64_t start,
                            std::uint64_t length, std::uint32_t flags = kFixed) {
    return ctx->ioas_map_file(std::move(file), {ioas, flags, length, iova}, start);
  }

  BarExporter exporter;
  Machine m;
  Ref<Context> ctx = Context::open(m.environment);
  ObjectId ioas = *ctx->ioas_alloc(0);
  Idevice& nic = **Idevice::bind(*ctx, m.first, {});
  ~MapFileTest() override { nic.unbind(); }
};

TEST_F(MapFileTest, MemfdPagesAreReachedByDma) {
  auto memfd = object::make_ref<mm::PlainMemfd>(4 * kPageSize);
  memfd->bytes()[2 * kPageSize + 1] = std::byte{0x42};
  ASSERT_TRUE(map(memfd, 0x10000, kPageSize, 2 * kPageSize).has_value());
  ASSERT_TRUE(nic.attach(ioas).has_value());
  EXPECT_EQ(m.dma_read(Machine::kFirst, 0x11001), std::byte{0x42});
  nic.detach();
}

/// Who pays for pinned pages, by the process that makes the call.
class Payers final : public mm::Charges {
 public:
  Payers() { mm::set_charges(this); }
  ~Payers() override { mm::set_charges(nullptr); }
  Payer payer() override { return now; }
  [[nodiscard]] bool may_set_mode() override { return true; }
  Result<void> charge(const Payer& payer, Mode, std::uint64_t pages) override {
    if (paid[payer.space] + pages > limit) return fail(Errno::kNoMem, "the limit");
    paid[payer.space] += pages;
    return {};
  }
  void uncharge(const Payer& payer, Mode, std::uint64_t pages) override {
    paid[payer.space] -= pages;
  }
  Payer now{.space = 1, .process = 1, .user = 1};
  std::uint64_t limit = 100;
  std::array<std::uint64_t, 3> paid{};
};

// iommufd_ioas_change_process(): whoever calls it pays for all, once, or for nothing.
TEST_F(MapFileTest, AnotherProcessPaysForWhatIsPinnedOrForNothing) {
  Payers payers;
  ASSERT_TRUE(
      map(object::make_ref<mm::PlainMemfd>(4 * kPageSize), 0x10000, 0, 4 * kPageSize).has_value());
  ASSERT_TRUE(
      map(object::make_ref<mm::PlainMemfd>(2 * kPageSize), 0x20000, 0, 2 * kPageSize).has_value());
  ASSERT_TRUE(nic.attach(ioas).has_value());
  EXPECT_EQ(payers.paid, (std::array<std::uint64_t, 3>{0, 6, 0}));
  payers.now = {.space = 2, .process = 2, .user = 2};
  payers.limit = 5;  // not enough for both
  EXPECT_EQ(error_of(ctx->ioas_change_process()), Errno::kNoMem);
  EXPECT_EQ(payers.paid, (std::array<std::uint64_t, 3>{0, 6, 0}));
  payers.limit = 6;
  for (int twice = 0; twice < 2; ++twice) {
    EXPECT_TRUE(ctx->ioas_change_process().has_value());
    EXPECT_EQ(payers.paid, (std::array<std::uint64_t, 3>{0, 0, 6}));
  }
  nic.detach();
  EXPECT_EQ(payers.paid, (std::array<std::uint64_t, 3>{}));
}

TEST_F(MapFileTest, OtherFilesAndRangesOutsideAreFoundByAHwpt) {
  EXPECT_TRUE(map(object::make_ref<mm::PlainOtherFile>(), 0x10000, 0, kPageSize).has_value());
  EXPECT_EQ(error_of(nic.attach(ioas)), Errno::kInval);
  ASSERT_TRUE(ctx->ioas_unmap(ioas, 0x10000, kPageSize).has_value());
  EXPECT_TRUE(
      map(object::make_ref<mm::PlainMemfd>(kPageSize), 0x10000, 0, 2 * kPageSize).has_value());
  EXPECT_EQ(error_of(nic.attach(ioas)), Errno::kInval);
  EXPECT_EQ(error_of(map(object::make_ref<mm::PlainMemfd>(kPageSize), 0x20000, 0, 0)),
            Errno::kInval);
}

TEST_F(MapFileTest, ABarIsReachedAtItsBusAddress) {
  ASSERT_TRUE(nic.attach(ioas).has_value());
  ASSERT_TRUE(map(bar(), 0x10000, 2 * kPageSize, 4 * kPageSize).has_value());
  EXPECT_EQ(m.reach(Machine::kFirst, 0x11008), kBar + (3 * kPageSize + 8));
  EXPECT_EQ(*ctx->ioas_unmap(ioas, 0x10000, 4 * kPageSize), 4 * kPageSize);
  EXPECT_FALSE(m.reach(Machine::kFirst, 0x11008));
  EXPECT_EQ(exporter.releases, 1) << "the mapping was the last to hold it";
  nic.detach();
}

TEST_F(MapFileTest, DmaBufRefusals) {
  EXPECT_EQ(error_of(map(bar(), 0x10000, 0, 17 * kPageSize)), Errno::kInval);
  EXPECT_EQ(error_of(map(bar(), 0x10000, 16 * kPageSize, kPageSize)), Errno::kInval);
  EXPECT_EQ(error_of(map(bar(16, DmaBuf::State::kRevoked), 0x10000, 0, kPageSize)), Errno::kNoDev);
  auto two = DmaBuf::create(exporter, {{kBar, kPageSize}, {kBar + 4 * kPageSize, kPageSize}},
                            DmaBuf::State::kAvailable);
  EXPECT_EQ(error_of(map(two, 0x10000, 0, kPageSize)), Errno::kOpNotSupp);
  two.reset();
  EXPECT_EQ(exporter.releases, 4) << "a refused mapping keeps nothing";
}

TEST_F(MapFileTest, ARevokeUnmapsEveryDomainForGood) {
  auto buffer = bar();
  Idevice& disk = **Idevice::bind(*ctx, m.second, {});
  const ObjectId one = *ctx->hwpt_alloc({.dev_id = nic.id(), .pt_id = ioas}, no_data);
  const ObjectId two = *ctx->hwpt_alloc({.dev_id = disk.id(), .pt_id = ioas}, no_data);
  ASSERT_TRUE(nic.attach(one).has_value());
  ASSERT_TRUE(disk.attach(two).has_value());
  ASSERT_TRUE(map(buffer, 0x10000, 0, 16 * kPageSize).has_value());
  EXPECT_TRUE(m.reach(Machine::kFirst, 0x10000));
  EXPECT_TRUE(m.reach(Machine::kSecond, 0x10000));
  buffer->revoke();
  EXPECT_FALSE(m.reach(Machine::kFirst, 0x10000));
  EXPECT_FALSE(m.reach(Machine::kSecond, 0x10000));
  buffer->restore();
  EXPECT_FALSE(m.reach(Machine::kFirst, 0x10000)) << "a revoke is for good";
  // The area still takes the IOVAs; a new domain does not get the pages either.
  EXPECT_EQ(error_of(map(buffer, 0x10000, 0, kPageSize)), Errno::kExist);
  nic.detach();
  ASSERT_TRUE(
      nic.attach(*ctx->hwpt_alloc({.dev_id = nic.id(), .pt_id = ioas}, no_data)).has_value());
  EXPECT_FALSE(m.reach(Machine::kFirst, 0x10000));
  ASSERT_TRUE(ctx->ioas_unmap(ioas, 0x10000, 16 * kPageSize).has_value());
  ASSERT_TRUE(map(buffer, 0x10000, 0, 16 * kPageSize).has_value());
  EXPECT_TRUE(m.reach(Machine::kFirst, 0x10000)) << "a new mapping is new";
  nic.detach();
  disk.detach();
  disk.unbind();
}

TEST_F(MapFileTest, ACopyIsRevokedWithTheOriginal) {
  auto buffer = bar();
  ASSERT_TRUE(map(buffer, 0x10000, 0, 4 * kPageSize).has_value());
  const ObjectId other = *ctx->ioas_alloc(0);
  ASSERT_TRUE(ctx->ioas_copy({other, kFixed, 2 * kPageSize, 0x50000}, ioas, 0x11000).has_value());
  ASSERT_TRUE(nic.attach(other).has_value());
  EXPECT_EQ(m.reach(Machine::kFirst, 0x50000), kBar + kPageSize);
  buffer->revoke();
  EXPECT_FALSE(m.reach(Machine::kFirst, 0x50000));
  nic.detach();
}

TEST_F(MapFileTest, ABufferThatIsMappedNowhereIsRevokedBeforeTheAttach) {
  auto buffer = bar();
  ASSERT_TRUE(map(buffer, 0x10000, 0, kPageSize).has_value());
  buffer->revoke();
  ASSERT_TRUE(nic.attach(ioas).has_value());
  EXPECT_FALSE(m.reach(Machine::kFirst, 0x10000));
  nic.detach();
}

TEST_F(MapFileTest, TheMappingMayOutliveTheExporter) {
  auto buffer = bar();
  ASSERT_TRUE(map(buffer, 0x10000, 0, kPageSize).has_value());
  buffer->orphan();
  buffer.reset();
  ASSERT_TRUE(ctx->ioas_unmap(ioas, 0x10000, kPageSize).has_value());
  EXPECT_EQ(exporter.releases, 0);
}

// Mapped page by page, unmapped whole: a revoke afterwards must find nothing left.
TEST_F(MapFileTest, ABarOfSmallPagesIsUnmappedWholeAfterLargeOnesCameBack) {
  auto buffer = bar();
  ASSERT_TRUE(ctx->set_ioas_huge_pages(ioas, 0).has_value());
  ASSERT_TRUE(nic.attach(ioas).has_value());
  ASSERT_TRUE(map(buffer, 0x10000, 0, 4 * kPageSize).has_value());
  const ObjectId other = *ctx->ioas_alloc(0);
  ASSERT_TRUE(ctx->ioas_copy({other, kFixed, kPageSize, 0x50000}, ioas, 0x10000).has_value());
  ASSERT_TRUE(ctx->set_ioas_huge_pages(ioas, 1).has_value());
  ASSERT_TRUE(ctx->ioas_unmap(ioas, 0x10000, 4 * kPageSize).has_value());
  nic.detach();  // the domain goes
  buffer->revoke();
  EXPECT_EQ(*ctx->ioas_unmap(other, 0x50000, kPageSize), kPageSize);
}

}  // namespace
}  // namespace teeio::iommufd
