#include "fixture.h"

namespace teeio::vtd {
namespace {

using test::DriverTest;
using test::FirstStage;
using test::Invalidation;
using test::Structs;

// A guest's memory is one frame after the other, at 0: its top table, three below, and pages.
constexpr std::uint64_t kFrames = 16;
constexpr Iova kVa{0x7000'0040'1000};
constexpr std::uint64_t kPage = 8 * kPageSize;  ///< where kVa leads to at first

class VtdNestedDomainTest : public DriverTest {
 protected:
  VtdNestedDomainTest() {
    frames.reserve(kFrames);
    for (std::uint64_t i = 0; i < kFrames; ++i) {
      frames.push_back(*memory.alloc_page());
      EXPECT_TRUE(
          parent->map(Iova{i * kPageSize}, frames.back(), kPageSize, Prot::kReadWrite).has_value());
    }
    for (std::uint64_t level = 0; level < 3; ++level)
      set(level, raw(kVa) >> (39 - 9 * level) & 0x1ffU, (level + 1) * kPageSize);
    lead(kPage);
  }
  ~VtdNestedDomainTest() override {
    (void)parent->unmap(Iova{0}, kFrames * kPageSize);
    for (const Hpa frame : frames) memory.free_page(frame);
  }
  void set(std::uint64_t frame, std::uint64_t index, std::uint64_t gpa) {
    (void)memory.write_u64(frames.at(frame) + 8 * index, gpa | 7U);
  }
  void lead(std::uint64_t gpa) { set(3, raw(kVa) >> 12U & 0x1ffU, gpa); }
  Hpa frame_of(std::uint64_t gpa) { return frames.at(gpa / kPageSize); }
  Errno invalidate(iommu::NestedDomain& domain, std::vector<Invalidation> all,
                   std::uint32_t& done) {
    Structs<Invalidation> data(test::kInvalidateVtdS1, std::move(all));
    const auto result = domain.invalidate(data, done);
    return result ? Errno{} : result.error().code;
  }

  std::unique_ptr<iommu::Domain> parent = domain(true, Domain::Kind::kNestParent);
  std::vector<Hpa> frames;
};

TEST_F(VtdNestedDomainTest, DmaGoesThroughTheGuestsTableAndTheParent) {
  auto over = nested(*parent, {});
  ASSERT_TRUE(driver->attach(1, *over).has_value());
  EXPECT_EQ(reach(kVa + 5, hw::DmaAccess::kWrite), frame_of(kPage) + 5);
  EXPECT_FALSE(reach(Iova{kPage})) << "an address of the guest's is none of its devices'";
  driver->detach(1);
  EXPECT_FALSE(reach(kVa));
}

TEST_F(VtdNestedDomainTest, TheGuestsChangeIsSeenOnceItIsInvalidated) {
  auto over = nested(*parent, {});
  ASSERT_TRUE(driver->attach(1, *over).has_value());
  ASSERT_EQ(reach(kVa), frame_of(kPage));
  lead(kPage + kPageSize);
  EXPECT_EQ(reach(kVa), frame_of(kPage));
  std::uint32_t done = 0;
  EXPECT_EQ(invalidate(*over, {{.address = raw(kVa) + kPageSize}, {.address = 0x5000}}, done),
            Errno{});
  EXPECT_EQ(done, 2U);
  EXPECT_EQ(reach(kVa), frame_of(kPage)) << "other pages";
  done = 0;
  EXPECT_EQ(invalidate(*over, {{.address = raw(kVa), .flags = 1}}, done), Errno{});
  EXPECT_EQ(reach(kVa), frame_of(kPage + kPageSize));
  lead(kPage);
  EXPECT_EQ(invalidate(*over, {{.pages = ~std::uint64_t{0}}}, done), Errno{});
  EXPECT_EQ(reach(kVa), frame_of(kPage)) << "all pages";
  lead(kPage + kPageSize);
  EXPECT_EQ(invalidate(*over, {{.address = raw(kVa) - kPageSize, .pages = 2}}, done), Errno{});
  EXPECT_EQ(reach(kVa), frame_of(kPage + kPageSize)) << "two that no aligned pair covers";
  driver->detach(1);
}

TEST_F(VtdNestedDomainTest, CommandsAreCountedUpToTheFirstThatFails) {
  auto over = nested(*parent, {});
  struct Case {
    Invalidation command;
    Errno error;
  };
  for (const Case& bad : {Case{{.address = 0x1008}, Errno::kInval},
                          {{.address = 0x1000, .pages = ~std::uint64_t{0}}, Errno::kInval},
                          {{.flags = 2}, Errno::kOpNotSupp},
                          {{.reserved = 1}, Errno::kOpNotSupp}}) {
    std::uint32_t done = 0;
    EXPECT_EQ(invalidate(*over, {{}, {}, bad.command, {}}, done), bad.error);
    EXPECT_EQ(done, 2U);
  }
  std::uint32_t done = 0;
  Structs<Invalidation> foreign(test::kInvalidateVtdS1 + 1, {{}});
  EXPECT_EQ(over->invalidate(foreign, done).error().code, Errno::kInval);
  Structs<Invalidation> shorter(test::kInvalidateVtdS1, {{}}, 16);
  EXPECT_EQ(over->invalidate(shorter, done).error().code, Errno::kInval);
  EXPECT_EQ(done, 0U);
}

TEST_F(VtdNestedDomainTest, WhatAnAllocationIsRefusedWith) {
  Structs<FirstStage> data(test::kVtdS1, {{}});
  EXPECT_EQ(driver->alloc_nested(1, *parent, 1, data).error().code, Errno::kOpNotSupp) << "a flag";
  EXPECT_TRUE(driver->alloc_nested(1, *parent, 8, data).has_value()) << "IOMMU_HWPT_ALLOC_PASID";
  auto plain = domain();
  EXPECT_EQ(driver->alloc_nested(1, *plain, 0, data).error().code, Errno::kInval);
  Structs<FirstStage> foreign(2, {{}});
  EXPECT_EQ(driver->alloc_nested(1, *plain, 0, foreign).error().code, Errno::kOpNotSupp)
      << "before the parent is looked at";
  Structs<FirstStage> shorter(test::kVtdS1, {{}}, 16);
  EXPECT_EQ(driver->alloc_nested(1, *parent, 0, shorter).error().code, Errno::kInval);
}

TEST_F(VtdNestedDomainTest, WhatAnAttachIsRefusedWithAndTheOldDomainStays) {
  ASSERT_TRUE(driver->attach(1, *parent).has_value());
  for (const FirstStage& bad : {FirstStage{.width = 57}, FirstStage{.width = 0},
                                FirstStage{.flags = 1}, FirstStage{.flags = 2}}) {
    auto over = nested(*parent, bad);
    const auto refused = driver->attach(1, *over);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, Errno::kInval);
    EXPECT_TRUE(reach(Iova{kPage}));
  }
  auto write_protected = nested(*parent, {.flags = 4});
  EXPECT_TRUE(driver->attach(1, *write_protected).has_value()) << "WPE alone says nothing";
  driver->detach(1);
}

TEST_F(VtdNestedDomainTest, TheParentsUnmapEndsNestedDmaToo) {
  auto over = nested(*parent, {});
  ASSERT_TRUE(driver->attach(1, *over).has_value());
  ASSERT_TRUE(reach(kVa));
  EXPECT_EQ(parent->unmap(Iova{kPage}, kPageSize), kPageSize);
  EXPECT_FALSE(reach(kVa));
  driver->detach(1);
}

TEST_F(VtdNestedDomainTest, TheParentTracksWhatIsWrittenThroughItsFirstStage) {
  auto over = nested(*parent, {});
  ASSERT_TRUE(driver->attach(1, *over).has_value());
  ASSERT_TRUE(write(kVa));
  EXPECT_EQ(dirty(*parent, kClear), Ranges{});
  ASSERT_TRUE(parent->dirty_tracking()->set_dirty_tracking(true).has_value());
  ASSERT_TRUE(write(kVa));
  EXPECT_EQ(dirty(*parent, kClear), (Ranges{{kPage, kPageSize}}));
  ASSERT_TRUE(write(kVa));
  EXPECT_EQ(dirty(*parent, kClear), (Ranges{{kPage, kPageSize}})) << "the nested cache was flushed";
  driver->detach(1);
}

TEST_F(VtdNestedDomainTest, WhatWasCachedDoesNotOutliveADetach) {
  auto over = nested(*parent, {});
  ASSERT_TRUE(driver->attach(1, *over).has_value());
  ASSERT_EQ(reach(kVa), frame_of(kPage));
  ASSERT_TRUE(driver->attach(1, *parent).has_value());
  lead(kPage + kPageSize);
  std::uint32_t done = 0;
  EXPECT_EQ(invalidate(*over, {{.address = raw(kVa)}}, done), Errno{}) << "nobody uses it";
  ASSERT_TRUE(driver->attach(1, *over).has_value());
  EXPECT_EQ(reach(kVa), frame_of(kPage + kPageSize));
  driver->detach(1);
}

}  // namespace
}  // namespace teeio::vtd
