#include "report/chart.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "report/json.h"
#include "unit/report/run.h"

namespace teeio::report {
namespace {

std::string chart(const SmallRun& run, ChartOptions options = {}) {
  return draw_chart(chart_steps(run.trace.events()), options);
}

TEST(Chart, IsDrawnAsByHand) {
  SmallRun run;
  run.bind();
  run.map_pages(3);
  run.refused_reset();
  EXPECT_EQ("\n" + chart(run), R"(
      Guest  Guest TSM  VMM  VFIO  IOMMUFD  host TSM  KVM  firmware  device
   1.   |        |       |--->|       |        |       |      |        |     VFIO_DEVICE_TSM_BIND 0000:01:00.1
   2.   |        |       |    |------>|        |       |      |        |      iommufd_device_tsm_bind 0000:01:00.1
   3.   |        |       |    |       |------->|       |      |        |       bind 0000:01:00.1 VM 1
   4.   |        |       |    |       |        |---------------------->|        LOCK_INTERFACE 0000:01:00.1 =
        |        |       |    |       |        |       |      |        |        state=CONFIG_LOCKED
   5.   |        |       |    |       |        |       |      |        *         CONFIG_LOCKED 0000:01:00.1
   6.   |        |       |---------------------------->|      |        |     KVM_PRE_FAULT_MEMORY VM 1
   7.   |        |       |    |       |        |       |----->|        |      TDH.MMIO.MAP VM 1 ×3 (7–11)
   8.   |        |       |    |       |        |       |      *        |       MMIO mapped 0000:01:00.1 VM 1 ×3 (8–12)
  13.   |        |       |---x|       |        |       |      |        |     VFIO_DEVICE_RESET 0000:01:00.1 = EBUSY: the
        |        |       |    |       |        |       |      |        |     device is bound to a VM: unbind it first
)");
}

TEST(Chart, FitsItsWidth) {
  SmallRun run;
  run.bind();
  run.map_pages(300);
  run.refused_reset();
  std::istringstream lines(chart(run, {.colour = false, .width = 120}));
  for (std::string line; std::getline(lines, line);) {
    std::size_t columns = 0;
    for (const char c : line) columns += (static_cast<unsigned char>(c) & 0xc0U) != 0x80U ? 1 : 0;
    EXPECT_LE(columns, 120U) << line;
  }
}

TEST(Chart, HasColoursOnlyWhenAskedFor) {
  SmallRun run;
  run.refused_reset();
  EXPECT_EQ(chart(run).find('\033'), std::string::npos);
  EXPECT_NE(chart(run, {.colour = true, .width = 120}).find("\033[31m"), std::string::npos);
}

TEST(Chart, OfNothingIsItsHeader) {
  const SmallRun run;
  EXPECT_EQ(chart(run),
            "      Guest  Guest TSM  VMM  VFIO  IOMMUFD  host TSM  KVM  firmware  device\n");
}

// One set of events, two pictures: whatever is in one is in the other.
TEST(Chart, StepsEqualTheTracesEvents) {
  SmallRun run;
  run.bind();
  run.map_pages(20);
  run.refused_reset();
  std::map<std::uint64_t, nlohmann::json> traced;
  const auto json = nlohmann::json::parse(chrome_trace(run.trace.events()));
  for (const auto& event : json.at("traceEvents"))
    if (event.at("ph") == "X" || event.at("ph") == "i") traced[event.at("ts")] = event;
  std::size_t drawn = 0;
  for (const ChartStep& step : chart_steps(run.trace.events())) {
    EXPECT_EQ(step.number, step.seqs.front());
    for (const std::uint64_t seq : step.seqs) {
      ++drawn;
      ASSERT_TRUE(traced.contains(seq));
      const nlohmann::json& event = traced[seq];
      EXPECT_EQ(event.at("ph") == "i", step.note);
      EXPECT_EQ(step.label.rfind(event.at("name").get<std::string>(), 0), 0U);
      EXPECT_EQ(event.at("args").at("from"), object::lane_name(step.from));
      EXPECT_EQ(event.at("args").at("to"), object::lane_name(step.to));
      EXPECT_EQ(event.at("args").value("refused", false), step.refused);
    }
  }
  EXPECT_EQ(drawn, traced.size());
  EXPECT_EQ(drawn, run.trace.events().size());
}

}  // namespace
}  // namespace teeio::report
