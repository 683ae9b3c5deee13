// An access that sysfs asks nobody about, against a bind: R4 must know which side it is on.

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "base/check.h"
#include "explore/run.h"
#include "explore/scenario/catalogue.h"
#include "explore/scenario/designs.h"
#include "explore/scenario/stage.h"
#include "host/vfio/device.h"
#include "schedule/atomic.h"

namespace teeio::vfio::reach_test {
namespace {

/// How many orders of `body`, those with few switches first, up to `most`.
std::uint64_t expect_sound(void (*body)(const machine::Config& config), std::uint64_t most) {
  const explore::MachineScenario scenario{.name = "reach", .description = "", .body = body};
  const explore::ScenarioResult result = explore::run_scenario(
      explore::make_scenario(scenario, explore::default_designs()[0]),
      {.strategy = explore::StrategyKind::kBounded, .max_schedules = most, .shrink = false});
  EXPECT_FALSE(result.failure.has_value()) << result.failure->what;
  return result.schedules;
}

void access_against_bind(const machine::Config& config) {
  explore::Stage stage(config, explore::Stage::Card::kAsAtBoot);
  explore::Vmm& vmm = stage.vmm();
  explore::must(vmm.open_device(explore::kPf));
  explore::must(vmm.bind_iommufd());
  Device& device = static_cast<DeviceFile&>(**vmm.file(vmm.vfio)).device();
  schedule::Atomic<bool> under_way{false}, bound{false};
  const auto access = [&](bool told) {
    TEEIO_CHECK(told || !bound.load(), "an access is not told of a bind before it");
    under_way.store(!told);
    under_way.store(false);
  };
  const auto bind = [&] {
    device.set_bound(true);
    TEEIO_CHECK(!under_way.load(), "a bind begins during an access");
    bound.store(true);
  };
  stage.play({{"root", [&] { device.reach(access); }}, {"tsm", bind}});
  device.set_bound(false);
}

TEST(Reach, NoBindBeginsBeforeAnAccessEnds) {
  EXPECT_GT(expect_sound(access_against_bind, 20'000), 3U);
}

/// Of a function that no driver has: pci_reset_function() holds device_lock().
void two_resets(const machine::Config& config) {
  explore::Stage stage(config, explore::Stage::Card::kAsAtBoot);
  machine::Program& root = stage.root();
  const auto write = [&root](std::string_view text, const std::string& file) {
    TEEIO_CHECK(root.echo(std::string(text), file).has_value(), "a write to sysfs is refused");
  };
  const std::string function = "/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/";
  const std::string driver = "/sys/bus/pci/drivers/vfio-pci/";
  write("0000:01:00.0", driver + "unbind");
  constexpr std::uint16_t kMemoryAndMaster = 6;
  const auto registers = root.open(function + "config", 2);
  TEEIO_CHECK(registers && root.pwrite(*registers, 4, bytes_of(kMemoryAndMaster)).has_value(),
              "the command register cannot be written");
  const auto reset = [&] { write("1", function + "reset"); };
  stage.play({{"root", reset}, {"admin", reset}});
  std::uint16_t command = 0;
  TEEIO_CHECK(root.pread(*registers, 4, writable_bytes_of(command)).has_value() &&
                  command == kMemoryAndMaster,
              "of two resets one saves what the other has reset");
  write("0000:01:00.0", driver + "bind");
}

TEST(Reach, TwoResetsOfAFunctionComeOneAfterTheOther) {
  EXPECT_GT(expect_sound(two_resets, 3'000), 3U);
}

/// enable_store() looks and changes with device_lock().
void two_disables(const machine::Config& config) {
  explore::Stage stage(config, explore::Stage::Card::kAsAtBoot);
  machine::Program& root = stage.root();
  const std::string function = "/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/";
  const std::string driver = "/sys/bus/pci/drivers/vfio-pci/";
  TEEIO_CHECK(root.echo("0000:01:00.0", driver + "unbind").has_value() &&
                  root.echo("1", function + "enable").has_value(),
              "the function is not enabled");
  std::array<bool, 2> disabled{};
  stage.play({{"root", [&] { disabled[0] = root.echo("0", function + "enable").has_value(); }},
              {"admin", [&] { disabled[1] = root.echo("0", function + "enable").has_value(); }}});
  TEEIO_CHECK(disabled[0] != disabled[1], "one enable is taken back twice");
  TEEIO_CHECK(root.echo("0000:01:00.0", driver + "bind").has_value(), "the driver does not come");
}

TEST(Reach, AnEnableIsTakenBackOnce) { EXPECT_GT(expect_sound(two_disables, 3'000), 3U); }

}  // namespace
}  // namespace teeio::vfio::reach_test
