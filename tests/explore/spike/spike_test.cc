#include <gmock/gmock.h>

#include "base/check.h"
#include "explore/depth_first.h"
#include "explore/exploration.h"
#include "explore/replay.h"
#include "explore/spike/toy_iommufd.h"
#include "schedule/task.h"

namespace teeio::toy {
namespace {

using explore::DepthFirst;
using explore::Exploration;
using schedule::Task;
using ::testing::HasSubstr;

constexpr std::uint64_t kEnough = 2'000'000;

/// IOMMU_DESTROY(vdevice) while the VFIO fd closes. The vdevice must be gone
/// afterwards, whoever ended it; a tombstone is left only if the close did.
void destroy_against_close(Fix fix) {
  Table table(fix);
  Idevice& idevice = Idevice::bind(table);
  const std::size_t vdevice_id = (*Vdevice::alloc(table, idevice.id))->id;
  Result<void> destroyed;
  Task destroyer = Task::spawn("destroyer", [&] { destroyed = table.destroy(vdevice_id); });
  Task closer = Task::spawn("closer", [&] { idevice.unbind(table); });
  destroyer.join();
  closer.join();
  TEEIO_CHECK(table.is_tombstone(vdevice_id) != destroyed.has_value(),
              "the vdevice was ended by nobody or twice");
}

/// A short ioctl on the vdevice while the VFIO fd closes.
void ioctl_against_close() {
  Table table(Fix::kMerged);
  Idevice& idevice = Idevice::bind(table);
  const std::size_t vdevice_id = (*Vdevice::alloc(table, idevice.id))->id;
  Task caller = Task::spawn("ioctl", [&] {
    if (Object* vdevice = table.get(vdevice_id)) table.put(*vdevice);
  });
  Task closer = Task::spawn("closer", [&] { idevice.unbind(table); });
  caller.join();
  closer.join();
}

/// VDEVICE_ALLOC while the VFIO fd closes.
void alloc_against_close() {
  Table table(Fix::kMerged);
  Idevice& idevice = Idevice::bind(table);
  const std::size_t idevice_id = idevice.id;
  Task caller = Task::spawn("alloc", [&] { (void)Vdevice::alloc(table, idevice_id); });
  Task closer = Task::spawn("closer", [&] { idevice.unbind(table); });
  caller.join();
  closer.join();
}

Exploration explore_all(void (*scenario)()) {
  DepthFirst strategy(DepthFirst::Reduction::kSleepSets);
  Exploration result = explore::run_schedules(strategy, scenario, kEnough);
  if (result.bad) ADD_FAILURE() << explore::to_text(*result.bad);
  return result;
}

TEST(Spike, MergedFixHoldsInEveryOrderOfDestroyAndClose) {
  const Exploration result = explore_all([] { destroy_against_close(Fix::kMerged); });
  EXPECT_TRUE(result.exhausted);
  EXPECT_EQ(result.schedules - result.pruned, 10U);  // orders that differ in what they do
  RecordProperty("schedules", static_cast<int>(result.schedules));
  RecordProperty("points", static_cast<int>(result.points));
}

TEST(Spike, MergedFixHoldsInEveryOrderOfAnIoctlAndClose) {
  EXPECT_TRUE(explore_all(ioctl_against_close).exhausted);
}

TEST(Spike, MergedFixHoldsInEveryOrderOfAllocAndClose) {
  EXPECT_TRUE(explore_all(alloc_against_close).exhausted);
}

TEST(Spike, ThirdPostedFixIsFoundToUseAFreedDeviceAndTheScheduleReplays) {
  const auto scenario = [] { destroy_against_close(Fix::kVersion3); };
  DepthFirst strategy(DepthFirst::Reduction::kNone);
  const Exploration found = explore::run_schedules(strategy, scenario, kEnough);
  ASSERT_TRUE(found.bad.has_value());
  EXPECT_THAT(found.bad->finding.what,
              HasSubstr("used after it was freed: destroyer waits to lock igroup->lock"));
  EXPECT_THAT(found.bad->story, HasSubstr("closer     destroy igroup->lock"));

  const auto choices = schedule::parse_choices(schedule::to_text(found.bad->choices));
  ASSERT_TRUE(choices.has_value());
  explore::Replay replay(*choices);
  const Exploration again = explore::run_schedules(replay, scenario, kEnough);
  ASSERT_TRUE(again.bad.has_value());
  EXPECT_EQ(explore::to_text(*again.bad), explore::to_text(*found.bad));
  RecordProperty("schedules", static_cast<int>(found.schedules));
}

TEST(Spike, SleepSetsFindTheSameBug) {
  DepthFirst strategy(DepthFirst::Reduction::kSleepSets);
  const Exploration found =
      explore::run_schedules(strategy, [] { destroy_against_close(Fix::kVersion3); }, kEnough);
  ASSERT_TRUE(found.bad.has_value());
  EXPECT_THAT(found.bad->finding.what, HasSubstr("used after it was freed"));
}

// The same code on threads; the sanitizer builds watch it.
TEST(Spike, MergedFixRunsOnThreads) {
  destroy_against_close(Fix::kMerged);
  ioctl_against_close();
}

}  // namespace
}  // namespace teeio::toy
