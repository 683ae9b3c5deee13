#include "schedule/fault_point.h"
#include "unit/host/pci_tsm/cca/machine.h"

// A card with more functions than a level-2 stream table has entries (64), on two buses. Linux's
// posted arm-smmu-v3-realm.c makes such a table for the stream of each vDEVICE.

namespace teeio::tsm {
namespace {

constexpr unsigned kVfs = 400;

class ManyVfsTest : public CcaDriverTest {
 protected:
  ManyVfsTest() : CcaDriverTest(kVfs) { EXPECT_TRUE(driver.connect(pf())); }

  hw::PciFunction& function(std::size_t index) { return *card.functions()[index]; }
  Result<void> bind(std::size_t index) {
    return driver.bind(function(index), {.function = function(index).bdf()}, vm());
  }
  void unbind(std::size_t index) {
    driver.unbind(function(index), {.function = function(index).bdf()}, vm(), *this);
  }
  /// Commands from the event on.
  std::size_t asked(std::string_view command, std::size_t first = 0) {
    std::size_t times = 0;
    for (std::size_t i = first; i < trace.events().size(); ++i)
      if (trace.events()[i].name == command) ++times;
    return times;
  }
};

// 1:00.0's table is made at connect; 63 and 64 are on either side of its end, 255 and 256 on
// either side of the bus's.
TEST_F(ManyVfsTest, FunctionsBeyondTheFirstTableAndBusAreBoundAndGiveAllBack) {
  ASSERT_EQ(function(kVfs).bdf(), (Bdf{0, kBus + 1, kVfs % 256 / 8, kVfs % 8}));
  const std::uint64_t pages = memory.pages_in_use();
  const std::size_t granules = rmm.granules();
  const std::size_t edges[] = {63, 64, 255, 256, kVfs};
  for (const std::size_t index : edges) ASSERT_TRUE(bind(index)) << index;
  // A VDEV each; and the tables from 64, 192, 256 and 384 on.
  EXPECT_EQ(rmm.granules(), granules + std::size(edges) + 4);
  for (const std::size_t index : edges) unbind(index);
  EXPECT_EQ(memory.pages_in_use(), pages);
  EXPECT_EQ(rmm.granules(), granules);
  driver.disconnect(pf());
  EXPECT_EQ(rmm.granules(), kRealmsAndSmmus);
}

TEST_F(ManyVfsTest, ATableIsMadeForItsFirstFunctionAndGivenBackWithItsLast) {
  const std::size_t before = trace.events().size();
  ASSERT_TRUE(bind(64));
  ASSERT_TRUE(bind(127));
  EXPECT_EQ(asked("RMI_PSMMU_ST_L2_CREATE", before), 1U);
  ASSERT_TRUE(bind(128));
  EXPECT_EQ(asked("RMI_PSMMU_ST_L2_CREATE", before), 2U);
  unbind(64);
  EXPECT_EQ(asked("RMI_PSMMU_ST_L2_DESTROY", before), 0U);
  unbind(127);
  EXPECT_EQ(asked("RMI_PSMMU_ST_L2_DESTROY", before), 1U);
  ASSERT_TRUE(bind(64));
  EXPECT_EQ(asked("RMI_PSMMU_ST_L2_CREATE", before), 3U);
}

/// The first such command of the monitor is refused.
struct Refusal final : schedule::FaultPlan {
  bool happens(schedule::FaultPlace place, std::string_view name, schedule::Fault fault) override {
    if (place != schedule::FaultPlace::kFirmware || fault != schedule::Fault::kRefuse) return false;
    return name == command && !std::exchange(done, true);
  }
  std::string_view command;
  bool done = false;
};

TEST_F(ManyVfsTest, ABindThatIsRefusedGivesItsTableBack) {
  const std::size_t granules = rmm.granules();
  for (const std::string_view command :
       {"RMI_PSMMU_ST_L2_CREATE", "RMI_VDEV_CREATE", "RMI_VDEV_COMMUNICATE"}) {
    Refusal refusal;
    refusal.command = command;
    schedule::set_fault_plan(&refusal);
    EXPECT_FALSE(bind(kVfs)) << command;
    schedule::set_fault_plan(nullptr);
    EXPECT_TRUE(refusal.done) << command;
    EXPECT_EQ(rmm.granules(), granules) << command;
    ASSERT_TRUE(bind(kVfs)) << command;
    unbind(kVfs);
  }
}

TEST_F(ManyVfsTest, ATableThatTheMonitorKeepsIsUsedAgainAndGivenBackLater) {
  const std::size_t granules = rmm.granules();
  ASSERT_TRUE(bind(kVfs));
  Refusal refusal;
  refusal.command = "RMI_PSMMU_ST_L2_DESTROY";
  schedule::set_fault_plan(&refusal);
  unbind(kVfs);
  schedule::set_fault_plan(nullptr);
  EXPECT_EQ(rmm.granules(), granules + 1);
  ASSERT_TRUE(bind(kVfs));
  unbind(kVfs);
  EXPECT_EQ(rmm.granules(), granules);
}

}  // namespace
}  // namespace teeio::tsm
