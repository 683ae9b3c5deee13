#include "report/json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "report/summary.h"
#include "report/text.h"
#include "unit/report/run.h"

namespace teeio::report {
namespace {

nlohmann::json events_of(const SmallRun& run) {
  return nlohmann::json::parse(chrome_trace(run.trace.events())).at("traceEvents");
}

TEST(ChromeTrace, HasATrackForEveryLane) {
  std::vector<std::string> lanes;
  for (const auto& event : events_of(SmallRun()))
    if (event.at("name") == "thread_name") lanes.push_back(event.at("args").at("name"));
  EXPECT_EQ(lanes, (std::vector<std::string>{"Guest", "Guest TSM", "VMM", "VFIO", "IOMMUFD",
                                             "host TSM", "KVM", "firmware", "device"}));
}

TEST(ChromeTrace, ASliceLastsAsLongAsItsInside) {
  SmallRun run;
  run.bind();
  for (const auto& event : events_of(run)) {
    if (event.at("ph") != "X") continue;
    const std::uint64_t begin = event.at("ts"), length = event.at("dur");
    EXPECT_EQ(begin + length, 6U) << event;  // all five end with the last
  }
}

TEST(ChromeTrace, FlowsLeadFromTheCallersTrack) {
  SmallRun run;
  run.refused_reset();
  int vmm = 0, vfio = 0;
  for (const auto& event : events_of(run)) {
    if (event.at("ph") == "s") vmm = event.at("tid");
    if (event.at("ph") == "f") vfio = event.at("tid");
  }
  EXPECT_EQ(vmm, 3);
  EXPECT_EQ(vfio, 4);
}

TEST(ChromeTrace, IsTheSameBytesForTheSameEvents) {
  SmallRun first, second;
  for (SmallRun* run : {&first, &second}) {
    run->bind();
    run->refused_reset();
  }
  EXPECT_EQ(chrome_trace(first.trace.events()), chrome_trace(second.trace.events()));
}

// The kernel numbers processes anew in every run.
TEST(ChromeTrace, IsTheSameBytesForOtherProcessNumbers) {
  SmallRun first, second;
  {
    const object::OriginScope scope({.pid = 70, .tid = 71, .fd = 5, .call = "VFIO_DEVICE_RESET"});
    first.refused_reset();
  }
  {
    const object::OriginScope scope({.pid = 80, .tid = 84, .fd = 5, .call = "VFIO_DEVICE_RESET"});
    second.refused_reset();
  }
  EXPECT_EQ(chrome_trace(first.trace.events()), chrome_trace(second.trace.events()));
}

TEST(ChromeTrace, SurvivesTextThatIsNoUtf8) {
  SmallRun run;
  run.trace.fact(object::Lane::kVmm, object::Fact::kRefLeaked, "leak", {.detail = "path=\xff"});
  EXPECT_EQ(events_of(run).back().at("args").at("detail"), "path=\xef\xbf\xbd");
}

TEST(Text, ShowsNestingOutcomeAndReason) {
  SmallRun run;
  run.bind();
  run.refused_reset();
  EXPECT_EQ(text(run.trace.events()),
            "    1 VMM -> VFIO VFIO_DEVICE_TSM_BIND 0000:01:00.1\n"
            "    2   VFIO -> IOMMUFD iommufd_device_tsm_bind 0000:01:00.1\n"
            "    3     IOMMUFD -> host TSM bind 0000:01:00.1 VM 1\n"
            "    4       host TSM -> device LOCK_INTERFACE 0000:01:00.1 = state=CONFIG_LOCKED\n"
            "    5         device: CONFIG_LOCKED 0000:01:00.1\n"
            "    6 VMM -> VFIO VFIO_DEVICE_RESET 0000:01:00.1 = EBUSY (the device is bound to a "
            "VM: unbind it first)\n");
}

TEST(Summary, CountsCallsStatesAndRefusals) {
  SmallRun run;
  run.bind();
  run.map_pages(4);
  run.refused_reset();
  const Summary summary = summarize(run.trace.events());
  EXPECT_EQ(summary.calls_into.at(static_cast<std::size_t>(object::Lane::kFirmware)), 4U);
  EXPECT_EQ(summary.calls_made.at(static_cast<std::size_t>(object::Lane::kVmm)), 3U);
  EXPECT_EQ(summary.states.at(static_cast<std::size_t>(object::Lane::kFirmware)), 4U);
  EXPECT_EQ(summary.refusals.at("VFIO_DEVICE_RESET = EBUSY"), 1U);
  EXPECT_NE(summary_text(summary, 80).find("refused ×1: VFIO_DEVICE_RESET = EBUSY"),
            std::string::npos);
}

TEST(Summary, TheNormalCourseIsNoRefusal) {
  object::Event event;
  event.name = "KVM_RUN";
  event.outcome = "EFAULT";
  event.refused = true;
  const Summary summary = summarize({event});
  EXPECT_TRUE(summary.refusals.empty());
  EXPECT_NE(summary_text(summary, 80).find("in the normal course ×1: KVM_RUN = EFAULT"),
            std::string::npos);
  EXPECT_NE(summary_text(summary, 30).find("in the normal course ×1:\n    KVM_RUN = EFAULT\n"),
            std::string::npos);
}

}  // namespace
}  // namespace teeio::report
