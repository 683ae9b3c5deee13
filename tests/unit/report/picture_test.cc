#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "report/chart.h"
#include "report/json.h"
#include "report/mermaid.h"
#include "report/page.h"
#include "report/phases.h"
#include "report/select.h"
#include "report/svg.h"
#include "report/wrap.h"
#include "unit/report/run.h"

namespace teeio::report {
namespace {

using object::Fact;
using object::Lane;

/// The part of a life that breaks a rule: bound, then reset by the host.
class BoundRun : public SmallRun {
 public:
  BoundRun() {
    {
      auto ioctl = trace.call(Lane::kVmm, Lane::kIommufd, "IOMMU_VDEVICE_TSM_OP", {});
      auto call = trace.call(Lane::kIommufd, Lane::kHostTsm, "bind", {.function = kVf, .vm = 1});
      trace.fact(Lane::kFirmware, Fact::kSequenceUsed, "sequence number", {.a = 1, .b = 2});
      trace.fact(Lane::kHostTsm, Fact::kBound, "bound", {.function = kVf, .vm = 1});
    }
    {
      auto run = trace.call(Lane::kVmm, Lane::kKvm, "KVM_RUN", {});
      run.refuse({Errno::kFault, "the guest's access and the memory's attribute differ"});
    }
    auto release = trace.call(Lane::kVmm, Lane::kVfio, "release", {.function = kVf});
    trace.fact(Lane::kVfio, Fact::kHostTouched, "function reset", {.function = kVf, .a = 4});
    broken.push_back({.seq = 7,
                      .rule = "R4",
                      .title = "the host reaches a bound device",
                      .what = "reset while <bound>",
                      .stack = {"[6] VMM -> VFIO release"},
                      .events = {"[4] host TSM: bound", "[7] VFIO: function reset"},
                      .witness = {4, 7},
                      .sentence = "the host reaches no bound device",
                      .source = "TDISP"});
  }
  [[nodiscard]] RunInfo info() const {
    return {.version = "1.2.3",
            .machine = "m",
            .arguments = {"prog", "-x"},
            .broken = broken,
            .closing = "broken: R4 ×1"};
  }
  std::vector<BrokenRule> broken;
};

TEST(LifeChart, ShowsStatesAndMarksWhereARuleBroke) {
  const BoundRun run;
  EXPECT_EQ(draw_chart(make_chart(run.trace.events(), run.info(), Level::kLife),
                       {.colour = false, .width = 60, .narrow = true}),
            R"(0000:01:00.1 and VM 1: rows that name no other are theirs
      VMM   IOMMUFD
      |  VFIO  host TSM
== bind ====================================================
   1. |---->|  |  IOMMU_VDEVICE_TSM_OP
   2. |  |  |->|   bind
   4. |  |  |  *    bound
== close ===================================================
   6. |->|  |  |  release
   7. |  *  |  |   function reset                     <== R4
== broken: R4 ×1 ===========================================
)");
}

TEST(LifeChart, OfTwoBoundFunctionsNamesBoth) {
  SmallRun run;
  for (const std::uint8_t function : {std::uint8_t{1}, std::uint8_t{2}}) {
    const Bdf bdf{.domain = 0, .bus = 1, .device = 0, .function = function};
    run.trace.fact(Lane::kHostTsm, Fact::kBound, "bound", {.function = bdf, .vm = function});
  }
  const Chart chart = make_chart(run.trace.events(), {}, Level::kLife);
  EXPECT_EQ(chart.title, "");
  ASSERT_EQ(chart.steps.size(), 2U);
  EXPECT_EQ(chart.steps[0].label, "bound 0000:01:00.1 VM 1");
  EXPECT_EQ(chart.steps[1].label, "bound 0000:01:00.2 VM 2");
}

TEST(LifeChart, ATouchThatBreaksNoRuleIsNotShown) {
  const BoundRun run;
  RunInfo info = run.info();
  info.broken.clear();
  for (const ChartStep& step : make_chart(run.trace.events(), info, Level::kLife).steps)
    EXPECT_NE(step.label, "function reset");
}

std::vector<std::string> life_of(const SmallRun& run) {
  std::vector<std::string> rows;
  for (const ChartStep& step : make_chart(run.trace.events(), {}, Level::kLife).steps) {
    if (!step.phase.empty()) rows.push_back("== " + std::string(step.phase));
    rows.push_back(step.label);
  }
  return rows;
}

// vfio_pci_core_enable() resets what is opened; the reset of a close is another matter.
TEST(LifeChart, AResetBeforeTheBindEndsNothing) {
  SmallRun run;
  run.trace.fact(Lane::kDevice, Fact::kDeviceReset, "RESET", {.function = SmallRun::kVf});
  run.trace.fact(Lane::kHostTsm, Fact::kBound, "bound", {.function = SmallRun::kVf, .vm = 1});
  run.trace.fact(Lane::kDevice, Fact::kDeviceReset, "RESET", {.function = SmallRun::kVf});
  EXPECT_THAT(life_of(run), testing::ElementsAre("bound", "RESET"));
}

// A realm's calls: those that come to nothing yet, and what the program only passes on.
TEST(LifeChart, OfARealmHasNoRowsThatSayNothing) {
  SmallRun run;
  const auto guest = [&](const char* name) {
    return run.trace.call(Lane::kGuest, Lane::kFirmware, name, {});
  };
  run.trace.fact(Lane::kHostTsm, Fact::kBound, "bound", {.function = SmallRun::kVf, .vm = 1});
  (void)guest("RSI_VDEV_GET_INFO");
  {
    auto request = run.trace.call(Lane::kVmm, Lane::kIommufd, "IOMMU_VDEVICE_TSM_REQ", {});
    run.trace.fact(Lane::kFirmware, Fact::kMmioMapped, "MMIO mapped", {.function = SmallRun::kVf});
  }
  {
    auto request = run.trace.call(Lane::kVmm, Lane::kIommufd, "IOMMU_VDEVICE_TSM_REQ", {});
    run.trace.fact(Lane::kFirmware, Fact::kGuestStart, "start asked for",
                   {.function = SmallRun::kVf});
    (void)run.trace.call(Lane::kHostTsm, Lane::kDevice, "START_INTERFACE", {});
  }
  (void)guest("RSI_VDEV_GET_INFO");
  (void)guest("RSI_VDEV_DMA_ENABLE");
  {
    auto again = guest("RSI_VDEV_DMA_ENABLE");
    run.trace.fact(Lane::kFirmware, Fact::kTrustedDmaOn, "STE valid", {.function = SmallRun::kVf});
  }
  EXPECT_THAT(life_of(run),
              testing::ElementsAre("bound", "RSI_VDEV_GET_INFO", "== accept private MMIO",
                                   "MMIO mapped gpa=0x0", "== start", "IOMMU_VDEVICE_TSM_REQ",
                                   "start asked for", "START_INTERFACE", "== accept trusted DMA",
                                   "RSI_VDEV_DMA_ENABLE", "STE valid"));
}

// What a second realm looks at before it trusts is told, and so is that it gives its DMA up.
TEST(LifeChart, OfASecondRealmIsAsThatOfTheFirst) {
  SmallRun run;
  const auto guest = [&](const char* name) {
    return run.trace.call(Lane::kGuest, Lane::kFirmware, name, {});
  };
  const auto host = [&](const char* name) {
    return run.trace.call(Lane::kIommufd, Lane::kHostTsm, name, {.function = SmallRun::kVf});
  };
  run.trace.fact(Lane::kFirmware, Fact::kGuestStart, "start asked for", {});
  run.trace.fact(Lane::kHostTsm, Fact::kBound, "bound", {.function = SmallRun::kVf, .vm = 2});
  (void)guest("RSI_VDEV_GET_INFO");
  (void)host("unbind");
  run.trace.fact(Lane::kDevice, Fact::kDma, "DMA",
                 {.a = static_cast<std::uint64_t>(object::DmaKind::kSharedToShared)});
  {
    auto disable = guest("RSI_VDEV_DMA_DISABLE");
    run.trace.fact(Lane::kFirmware, Fact::kTrustedDmaOff, "STE off", {});
  }
  EXPECT_THAT(life_of(run),
              testing::ElementsAre("== start", "start asked for", "bound", "RSI_VDEV_GET_INFO",
                                   "== unbind", "unbind", "== a shared device again", "DMA",
                                   "== unbind", "RSI_VDEV_DMA_DISABLE", "STE off"));
}

TEST(LifeChart, OfAnSnpGuestHasItsMessages) {
  SmallRun run;
  const auto guest = [&](const char* name, const char* detail = "") {
    return run.trace.call(Lane::kGuest, Lane::kVmm, name, {.detail = detail});
  };
  (void)guest("VMGEXIT TIO_OP", "bind");
  {
    auto ioctl = run.trace.call(Lane::kVmm, Lane::kIommufd, "IOMMU_VDEVICE_TSM_OP", {});
    auto bind = run.trace.call(Lane::kIommufd, Lane::kHostTsm, "bind", {});
    // Part of the bind: the guest does not attest yet.
    (void)run.trace.call(Lane::kHostTsm, Lane::kDevice, "GET_DEVICE_INTERFACE_REPORT", {});
  }
  (void)guest("TIO_MSG_TDI_INFO_REQ");
  (void)guest("VMGEXIT TIO_OP", "run");
  (void)guest("TIO_MSG_SDTE_WRITE_REQ");
  (void)guest("TIO_MSG_MMIO_VALIDATE_REQ");
  run.trace.fact(Lane::kDevice, Fact::kDma, "DMA", {.a = 3});
  (void)guest("TIO_MSG_SDTE_WRITE_REQ");
  EXPECT_THAT(
      life_of(run),
      testing::ElementsAre("== bind", "IOMMU_VDEVICE_TSM_OP", "bind", "GET_DEVICE_INTERFACE_REPORT",
                           "== attest", "TIO_MSG_TDI_INFO_REQ", "== start", "VMGEXIT TIO_OP run",
                           "== accept trusted DMA", "TIO_MSG_SDTE_WRITE_REQ",
                           "== accept private MMIO", "TIO_MSG_MMIO_VALIDATE_REQ", "== trusted DMA",
                           "DMA", "== unbind", "TIO_MSG_SDTE_WRITE_REQ"));
}

TEST(LifeChart, KeepsToItsWidthAlsoInItsTitle) {
  const BoundRun run;
  std::istringstream rows(draw_chart(make_chart(run.trace.events(), run.info(), Level::kLife),
                                     {.colour = false, .width = 48, .narrow = true}));
  for (std::string row; std::getline(rows, row);) EXPECT_LE(columns_of(row), 48U) << row;
}

TEST(Levels, EachShowsMoreAndAllShowsEverything) {
  const BoundRun run;
  const auto life = make_chart(run.trace.events(), run.info(), Level::kLife).steps.size();
  const auto calls = make_chart(run.trace.events(), run.info(), Level::kCalls).steps.size();
  const auto all = make_chart(run.trace.events(), run.info(), Level::kAll).steps.size();
  EXPECT_LT(life, calls);
  EXPECT_LT(calls, all);
  EXPECT_EQ(all, run.trace.events().size());
}

TEST(Levels, CallsFoldTheBuildingOfAVm) {
  SmallRun run;
  for (const char* name : {"KVM_CREATE_VM", "KVM_MEMORY_ENCRYPT_OP", "KVM_CREATE_VCPU"})
    (void)run.trace.call(Lane::kVmm, Lane::kKvm, name, {});
  run.refused_reset();
  const auto steps = make_chart(run.trace.events(), {}, Level::kCalls).steps;
  ASSERT_EQ(steps.size(), 2U);
  EXPECT_EQ(steps[0].label, "build the VM (1–3)");
  EXPECT_TRUE(steps[1].refused);
}

TEST(Levels, ARefusalIsNeverFolded) {
  SmallRun run;
  (void)run.trace.call(Lane::kVmm, Lane::kKvm, "KVM_CREATE_VM", {});
  {
    auto call = run.trace.call(Lane::kVmm, Lane::kKvm, "KVM_MEMORY_ENCRYPT_OP", {});
    call.refuse({Errno::kInval, "no"});
  }
  (void)run.trace.call(Lane::kVmm, Lane::kKvm, "KVM_CREATE_VCPU", {});
  EXPECT_EQ(make_chart(run.trace.events(), {}, Level::kCalls).steps.size(), 3U);
}

TEST(ExpectedAnswers, AreNoFailures) {
  const BoundRun run;
  const auto& events = run.trace.events();
  EXPECT_TRUE(is_expected(events[4]));  // KVM_RUN with a memory fault
  const auto steps = make_chart(events, run.info(), Level::kAll).steps;
  EXPECT_FALSE(steps[4].refused);
  EXPECT_TRUE(steps[4].expected);
  object::Event other = events[4];
  other.outcome = "EINVAL";
  EXPECT_FALSE(is_expected(other));
  object::Event table;
  table.name = "RMI_RTT_DATA_MAP_INIT";
  table.outcome = "RMI_ERROR_RTT";
  table.why = "there is no table of level 3";
  EXPECT_TRUE(is_expected(table));  // and it is tried again
  table.why = "the page is mapped";
  EXPECT_FALSE(is_expected(table));
}

TEST(ChartAround, ShowsTenStepsAndSaysWhereItLeavesSomeOut) {
  SmallRun run;
  for (int i = 0; i < 40; ++i) {
    const std::string detail = "n=" + std::to_string(i);
    static constexpr std::string_view kNames[] = {"one", "two", "three", "four", "five"};
    (void)run.trace.call(Lane::kVmm, i % 3 == 0 ? Lane::kKvm : Lane::kVfio,
                         kNames[static_cast<std::size_t>(i * i + i / 7) % 5], {.detail = detail});
  }
  const auto one = make_chart_around(run.trace.events(), {}, {20}).steps;
  EXPECT_LE(one.size(), 10U);
  const auto holds = [](const std::vector<ChartStep>& steps, std::uint64_t seq) {
    return std::any_of(steps.begin(), steps.end(), [&](const ChartStep& step) {
      return std::count(step.seqs.begin(), step.seqs.end(), seq) == 1;
    });
  };
  EXPECT_TRUE(holds(one, 20));
  const auto two = make_chart_around(run.trace.events(), {}, {1, 40}).steps;
  EXPECT_TRUE(holds(two, 1) && holds(two, 40));
  EXPECT_EQ(std::count_if(two.begin(), two.end(), [](const auto& s) { return s.phase == "…"; }), 1);
  EXPECT_TRUE(make_chart_around(run.trace.events(), {}, {99}).steps.empty());
}

TEST(NarrowChart, KeepsItsWidthWithEveryLaneAndLongWords) {
  SmallRun run;
  for (std::size_t i = 0; i < object::kLaneCount; ++i)
    run.trace.fact(static_cast<Lane>(i), Fact::kVmDead, "dead",
                   {.detail = "path=" + std::string(200, 'x')});
  std::istringstream lines(draw_chart(make_chart(run.trace.events(), {}, Level::kLife),
                                      {.colour = false, .width = 72, .narrow = true}));
  for (std::string line; std::getline(lines, line);) EXPECT_LE(columns_of(line), 72U) << line;
}

TEST(ChromeTrace, CarriesBrokenRulesAndWhatWasRun) {
  const BoundRun run;
  const auto json = nlohmann::json::parse(chrome_trace(run.trace.events(), run.info()));
  EXPECT_EQ(json.at("otherData").at("arguments"), "prog -x");
  EXPECT_EQ(json.at("otherData").at("version"), "1.2.3");
  int rules = 0;
  for (const auto& event : json.at("traceEvents")) {
    if (event.value("cat", "") != "rule") continue;
    ++rules;
    EXPECT_EQ(event.at("ts"), 7);
    EXPECT_EQ(event.at("name"), "R4 the host reaches a bound device");
    EXPECT_EQ(event.at("args").at("what"), "reset while <bound>");
  }
  EXPECT_EQ(rules, 1);
}

/// Calls of two tasks that overlap without one inside of the other.
TEST(ChromeTrace, SlicesOfOneTrackNeverOverlapInPart) {
  std::deque<object::Event> events;
  const auto call = [&](std::uint64_t seq, std::uint64_t parent, Lane from, Lane to) {
    object::Event event;
    event.seq = seq;
    event.parent = parent;
    event.from = from;
    event.to = to;
    event.name = "call";
    event.outcome = "ok";
    events.push_back(event);
  };
  call(1, 0, Lane::kVmm, Lane::kVfio);
  call(2, 0, Lane::kVmm, Lane::kVfio);
  call(3, 1, Lane::kVfio, Lane::kIommufd);
  call(4, 2, Lane::kVfio, Lane::kIommufd);
  const auto json = nlohmann::json::parse(chrome_trace(events));
  std::map<int, std::vector<std::pair<int, int>>> slices;
  for (const auto& event : json.at("traceEvents"))
    if (event.at("ph") == "X")
      slices[event.at("tid")].emplace_back(event.at("ts"),
                                           event.at("ts").get<int>() + event.at("dur").get<int>());
  for (const auto& [track, own] : slices)
    for (const auto& [b1, e1] : own)
      for (const auto& [b2, e2] : own)
        EXPECT_FALSE(b1 < b2 && b2 < e1 && e1 < e2) << "track " << track;
  for (const auto& event : json.at("traceEvents")) {
    if (event.at("ph") != "s" && event.at("ph") != "f") continue;
    const auto& own = slices[event.at("tid")];
    EXPECT_TRUE(std::any_of(own.begin(), own.end(), [&](const auto& slice) {
      return slice.first <= event.at("ts") && event.at("ts") < slice.second;
    })) << event;
  }
}

TEST(Page, CannotBeEndedByWhatIsInIt) {
  BoundRun run;
  run.trace.fact(Lane::kVmm, Fact::kRefLeaked, "leak", {.detail = "</script><b>\xff"});
  const std::string page = html_page(run.trace.events(), run.info());
  EXPECT_EQ(page.find("/*DATA*/"), std::string::npos);
  EXPECT_EQ(page.find("</script>"), page.rfind("</script>"));
  EXPECT_NE(page.find("reset while \\u003cbound>"), std::string::npos);
}

TEST(Svg, EscapesWhatXmlReserves) {
  SmallRun run;
  run.trace.fact(Lane::kVmm, Fact::kRefLeaked, "a<b>&\"", {});
  const std::string svg = draw_svg(make_chart(run.trace.events(), {}, Level::kLife));
  EXPECT_NE(svg.find("a&lt;b&gt;&amp;&quot;"), std::string::npos);
}

TEST(Mermaid, EscapesWhatEndsAStatement) {
  SmallRun run;
  run.trace.fact(Lane::kVmm, Fact::kRefLeaked, "a;b#c", {});
  run.refused_reset();
  EXPECT_EQ(
      draw_mermaid(make_chart(run.trace.events(), RunInfo{{}, {}, {}, {}, "over"}, Level::kLife)),
      R"(sequenceDiagram
  participant L2 as VMM
  participant L3 as VFIO
  Note over L2: 1 a#59;b#35;c
  L2-xL3: 2 VFIO_DEVICE_RESET = EBUSY: the device is bound to a VM: unbind it first
  Note over L2,L3: over
)");
}

// A program's path may hold anything: nothing of it reaches a terminal or an XML file.
TEST(Labels, HaveNoControlCharactersAndOnlyUtf8) {
  SmallRun run;
  run.trace.fact(Lane::kVmm, Fact::kRefLeaked, "leak", {.detail = "\033[31mred\x7f\n×\xff"});
  for (const Level level : {Level::kLife, Level::kCalls, Level::kAll})
    EXPECT_TRUE(make_chart(run.trace.events(), {}, level)
                    .steps.at(0)
                    .label.starts_with("leak ?[31mred??×\xef\xbf\xbd"));
}

TEST(Wrap, CutsAWordThatIsLongerThanALine) {
  EXPECT_EQ(wrap("ab cdefgh i", 4), (std::vector<std::string>{"ab", "cdef", "gh i"}));
  EXPECT_EQ(wrap("", 4), std::vector<std::string>{""});
  EXPECT_EQ(wrap("äöüß×", 3), (std::vector<std::string>{"äöü", "ß×"}));
}

}  // namespace
}  // namespace teeio::report
