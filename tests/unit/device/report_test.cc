// A report as the machine file describes it, and a function that behaves as it says.

#include <algorithm>

#include "card_fixture.h"

namespace teeio::device::testing {
namespace {

using hw::TBit;

constexpr std::uint32_t kNothing = 0xffff'ffff;
constexpr std::uint64_t kShared = 0, kTee = 0x1'0000, kUpdatable = 0x2'0000;  // of BAR2

DmaEngineCard::Options described(Bdf pf) {
  DmaEngineCard::Options options{.pf = pf, .vfs = 1, .window = Hpa{0x20'0000'0000}};
  options.memory_bytes = 0x4'0000;
  ReportOptions report;
  report.interface_info = wire::kInfoDmaWithPasid | wire::kInfoAts;
  report.lnr_control = 0x1234;
  report.tph_control = 0x5678'9abc;
  report.device_info = Bytes(3, std::byte{7});
  report.ranges = {{.bar = 2, .bytes = 0x1'0000, .attributes = wire::kMmioNonTeeMemory, .id = 9},
                   {.bar = 2, .bytes = 0x1'0000, .attributes = 0, .id = 2},
                   {.bar = 2,
                    .bytes = 0x2'0000,
                    .attributes = wire::kMmioNonTeeMemory | wire::kMmioAttributeUpdatable,
                    .id = 2}};
  options.reports = {ReportOptions{}, report};
  return options;
}

class ReportTest : public TeeCardTest<DmaEngineCard> {
 protected:
  ReportTest() : TeeCardTest(described(kPf)) {}

  wire::TdispReport report(unsigned index) {
    const auto answer = tdisp(index, wire::TdispGetInterfaceReport{0, 0xffff});
    return wire::TdispReport::decode(std::get<wire::TdispInterfaceReportPortion>(answer).portion)
        .value();
  }
  std::uint32_t shared(std::uint64_t offset) { return mmio(kVfIndex, 2, offset); }
  std::uint32_t trusted(std::uint64_t offset) { return mmio(kVfIndex, 2, offset, TBit::kTrusted); }
};

TEST_F(ReportTest, HasWhatTheOptionsSayForThatFunctionOnly) {
  lock(kVfIndex, wire::kLockNoFirmwareUpdate);
  const wire::TdispReport said = report(kVfIndex);
  EXPECT_EQ(said.interface_info,
            wire::kInfoDmaWithPasid | wire::kInfoAts | wire::kInfoNoUpdateAfterLock);
  EXPECT_EQ(said.lnr_control, 0x1234);
  EXPECT_EQ(said.tph_control, 0x5678'9abcU);
  EXPECT_EQ(said.device_info, Bytes(3, std::byte{7}));
  const std::uint64_t page = raw(function(kVfIndex).bars()[2].base) >> 12U;
  const std::vector<wire::TdispMmioRange> of_bar2(said.ranges.begin() + 1, said.ranges.begin() + 4);
  EXPECT_EQ(of_bar2, (std::vector<wire::TdispMmioRange>{{page, 16, wire::kMmioNonTeeMemory, 9},
                                                        {page + 16, 16, 0, 2},
                                                        {page + 32, 32, 12, 2}}));
  lock(kPfIndex);
  EXPECT_EQ(report(kPfIndex).interface_info, wire::kInfoDmaWithoutPasid);
  EXPECT_EQ(report(kPfIndex).ranges.size(), 4U);
}

TEST_F(ReportTest, EachRangeAnswersAsItIsReported) {
  for (const std::uint64_t offset : {kShared, kTee, kUpdatable}) set_mmio(kVfIndex, 2, offset, 5);
  run(kVfIndex);
  EXPECT_EQ(shared(kShared), 5U);
  EXPECT_EQ(trusted(kShared), kNothing);
  EXPECT_EQ(shared(kTee), kNothing);
  EXPECT_EQ(trusted(kTee), 5U);
  EXPECT_EQ(shared(kUpdatable), 5U);
  EXPECT_EQ(trusted(kUpdatable), kNothing);
}

TEST_F(ReportTest, AnAccessAcrossTwoKindsIsNotAnswered) {
  run(kVfIndex);
  EXPECT_EQ(shared(kTee - 2), kNothing);
  EXPECT_EQ(trusted(kTee - 2), kNothing);
  EXPECT_EQ(shared(kTee - 4), 0U);
}

TEST_F(ReportTest, AnUpdatableRangeClosesAloneAndOpensAgainWithTheNextLock) {
  run(kVfIndex);
  wire::TdispMmioRange range = report(kVfIndex).ranges.at(3);
  range.attributes = 0;
  EXPECT_TRUE(std::holds_alternative<wire::TdispSetMmioAttributeResponse>(
      tdisp(kVfIndex, wire::TdispSetMmioAttribute{range})));
  EXPECT_EQ(shared(kUpdatable), kNothing);
  EXPECT_EQ(trusted(kUpdatable), 0U);
  EXPECT_EQ(shared(kShared), 0U) << "the other range is as it was";
  stop(kVfIndex);
  run(kVfIndex);
  EXPECT_EQ(shared(kUpdatable), 0U);
}

TEST_F(ReportTest, InErrorOnlyWhatIsNeverTeeMemoryAnswers) {
  enable_bus_master(kVfIndex);
  run(kVfIndex);
  set_config(kVfIndex, 0x04, 0x0000, 2);  // bus mastering
  ASSERT_EQ(state(kVfIndex), TdiState::kError);
  EXPECT_EQ(shared(kShared), 0U);
  EXPECT_EQ(shared(kUpdatable), kNothing);
  EXPECT_EQ(shared(kTee), kNothing);
}

TEST(MmioLayout, RangesCoverTheirBarInWholePages) {
  const auto range = [](std::uint8_t bar, std::uint64_t bytes) {
    return ReportOptions::Range{.bar = bar, .bytes = bytes};
  };
  const std::vector<ReportOptions::Range> ranges = {range(2, 4096), range(0, 8192), range(2, 4096)};
  EXPECT_TRUE(MmioLayout::covers(ranges, 2, 8192));
  EXPECT_TRUE(MmioLayout::covers(ranges, 0, 8192));
  EXPECT_FALSE(MmioLayout::covers(ranges, 2, 12288));
  EXPECT_FALSE(MmioLayout::covers(ranges, 2, 4096));
  EXPECT_FALSE(MmioLayout::covers(std::vector{range(2, 100)}, 2, 100));
  EXPECT_FALSE(MmioLayout::covers(std::vector{range(2, 0), range(2, 4096)}, 2, 4096));
}

}  // namespace
}  // namespace teeio::device::testing
