#include "report/shorten.h"

#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

#include "report/wrap.h"

namespace teeio::report {
namespace {

using object::Lane;

constexpr ChartOptions kMail{.width = 72, .narrow = true};
constexpr Bdf kFirst = Bdf{0, 1, 0, 1};
constexpr Bdf kSecond = Bdf{0, 1, 0, 2};

ChartStep call(std::uint64_t number, Lane from, Lane to, std::string label, unsigned depth = 0) {
  return {.number = number,
          .seqs = {number},
          .from = from,
          .to = to,
          .depth = depth,
          .label = std::move(label),
          .phase = {},
          .like = {},
          .mark = {}};
}
ChartStep state(std::uint64_t number, Lane lane, std::string label, unsigned depth = 0) {
  ChartStep step = call(number, lane, lane, std::move(label), depth);
  step.note = true;
  return step;
}

/// A bind of `function` to `vm`, from event `number` on.
std::vector<ChartStep> bind(std::uint64_t number, Bdf function, std::uint32_t vm) {
  std::vector<ChartStep> steps = {
      call(number, Lane::kVmm, Lane::kIommufd, "IOMMU_VDEVICE_TSM_OP"),
      call(number + 5, Lane::kFirmware, Lane::kDevice, "LOCK_INTERFACE " + function.str(), 1),
      state(number + 6, Lane::kDevice,
            "CONFIG_LOCKED " + function.str() + " VM " + std::to_string(vm), 2)};
  steps[0].phase = "bind";
  for (ChartStep& step : steps) {
    step.function = function;
    step.vm = vm;
  }
  return steps;
}

Chart chart_of(std::vector<std::vector<ChartStep>> phases) {
  Chart chart;
  for (auto& phase : phases) chart.steps.insert(chart.steps.end(), phase.begin(), phase.end());
  return chart;
}

std::string drawn(const Chart& chart, std::size_t lines) {
  return draw_chart(shorten(chart, kMail, lines), kMail);
}

TEST(Shorten, LeavesAShortChartAsItIs) {
  const Chart chart = chart_of({bind(10, kFirst, 1), bind(30, kFirst, 1)});
  EXPECT_EQ(drawn(chart, 60), draw_chart(chart, kMail));
}

TEST(Shorten, NamesAPhaseThatWentAsAnEarlierOne) {
  const std::string text = drawn(chart_of({bind(10, kFirst, 1), bind(30, kFirst, 1)}), 8);
  EXPECT_NE(text.find("== bind: 30–36 as 10–16 ===="), std::string::npos) << text;
  EXPECT_EQ(text.find("  30. "), std::string::npos) << text;
  EXPECT_NE(text.find("  10. "), std::string::npos) << text;
}

TEST(Shorten, NamesTheOtherFunctionAndVm) {
  const std::string text = drawn(chart_of({bind(10, kFirst, 1), bind(30, kSecond, 2)}), 8);
  EXPECT_NE(text.find("== bind: 30–36 as 10–16, 0000:01:00.2 VM 2 ="), std::string::npos) << text;
}

TEST(Shorten, KeepsAPhaseThatMixesTwoFunctions) {
  std::vector<ChartStep> mixed = bind(30, kSecond, 2);
  mixed[1].function = kFirst;
  mixed[1].label = "LOCK_INTERFACE " + kFirst.str();
  const std::string text = drawn(chart_of({bind(10, kFirst, 1), mixed}), 8);
  EXPECT_EQ(text.find(" as "), std::string::npos) << text;
}

TEST(Shorten, KeepsAPhaseOfWhichAnythingDiffers) {
  std::vector<ChartStep> other = bind(30, kSecond, 2);
  other[2].label = "ERROR " + kSecond.str() + " VM 2";
  EXPECT_EQ(drawn(chart_of({bind(10, kFirst, 1), other}), 8).find(" as "), std::string::npos);
  std::vector<ChartStep> longer = bind(30, kSecond, 2);
  longer.push_back(state(40, Lane::kHostTsm, "bound"));
  EXPECT_EQ(drawn(chart_of({bind(10, kFirst, 1), longer}), 8).find(" as "), std::string::npos);
}

TEST(Shorten, KeepsEveryRowOfAPhaseThatBrokeARuleOrWasRefused) {
  std::vector<ChartStep> broken = bind(30, kFirst, 1);
  broken[2].mark = "R4";
  const std::string text = drawn(chart_of({bind(10, kFirst, 1), broken}), 1);
  EXPECT_NE(text.find("  36. "), std::string::npos) << text;
  EXPECT_NE(text.find("<== R4"), std::string::npos) << text;
  std::vector<ChartStep> refused = bind(30, kFirst, 1);
  refused[0].refused = true;
  EXPECT_NE(drawn(chart_of({bind(10, kFirst, 1), refused}), 1).find("  30. "), std::string::npos);
}

TEST(Shorten, PutsAStateIntoTheRowOfTheCallThatBroughtItAbout) {
  const std::string text = drawn(chart_of({bind(10, kFirst, 1)}), 1);
  EXPECT_NE(text.find("   LOCK_INTERFACE * CONFIG_LOCKED 0000:01:00.1 VM 1\n"), std::string::npos)
      << text;
  EXPECT_EQ(text.find("  16. "), std::string::npos) << text;
}

TEST(Shorten, PutsStatesOfALaneIntoOneRowWhereTheyFit) {
  std::vector<ChartStep> steps;
  for (std::uint64_t i = 1; i <= 4; ++i) {
    steps.push_back(state(i, Lane::kFirmware, "trusted DMA off 0000:01:00.1 VM 1"));
    steps.back().function = kFirst;
    steps.back().vm = 1;
  }
  const std::string text = drawn(chart_of({steps}), 1);
  EXPECT_NE(text.find("  trusted DMA off * trusted DMA off 0000:01:00.1 VM 1\n"), std::string::npos)
      << text;
  for (const ChartStep& step : shorten(chart_of({steps}), kMail, 1).steps)
    EXPECT_EQ(step.label.find("0000:01:00.1"), step.label.rfind("0000:01:00.1"));
}

TEST(Shorten, DrawsACallInTheRowOfTheOneThatMadeNoOther) {
  std::vector<ChartStep> steps = {call(1, Lane::kVmm, Lane::kIommufd, "IOMMU_VDEVICE_TSM_OP"),
                                  call(2, Lane::kIommufd, Lane::kHostTsm, "unbind", 1),
                                  state(3, Lane::kHostTsm, "unbound", 1)};
  EXPECT_NE(drawn(chart_of({steps}), 1).find("   1. |->|->|  IOMMU_VDEVICE_TSM_OP > unbind\n"),
            std::string::npos)
      << drawn(chart_of({steps}), 1);
  steps.push_back(call(4, Lane::kIommufd, Lane::kHostTsm, "bind", 1));
  EXPECT_EQ(drawn(chart_of({steps}), 1).find(" > "), std::string::npos);
}

TEST(Shorten, DrawsNoTwoCallsAcrossOneLane) {
  const std::vector<ChartStep> steps = {call(1, Lane::kVmm, Lane::kFirmware, "TDG.VP.VMCALL"),
                                        call(2, Lane::kKvm, Lane::kFirmware, "TDH.VP.ENTER", 1)};
  EXPECT_EQ(drawn(chart_of({steps}), 1).find(" > "), std::string::npos);
}

TEST(Shorten, LosesNoEvent) {
  const Chart chart = chart_of({bind(10, kFirst, 1), bind(30, kSecond, 2), bind(50, kFirst, 1)});
  std::vector<std::uint64_t> seqs;
  for (const ChartStep& step : shorten(chart, kMail, 1).steps)
    seqs.insert(seqs.end(), step.seqs.begin(), step.seqs.end());
  EXPECT_EQ(seqs, (std::vector<std::uint64_t>{10, 15, 16, 30, 35, 36, 50, 55, 56}));
}

TEST(Shorten, DrawsNoLineThatIsTooWide) {
  std::vector<ChartStep> first = bind(12000, kFirst, 1), second = bind(13000, kSecond, 2);
  first[0].phase = second[0].phase = "connect: SPDM session and IDE keys";
  const std::string text = drawn(chart_of({first, second}), 1);
  EXPECT_NE(text.find("== 0000:01:00.2 VM 2 ="), std::string::npos) << text;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(columns_of(line), 72U) << line;
}

}  // namespace
}  // namespace teeio::report
