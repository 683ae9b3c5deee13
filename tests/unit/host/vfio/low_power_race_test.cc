// A function that falls asleep and is woken, against the calls of its user, in every order that
// has few switches. Source: Linux drivers/base/power/runtime.c: no function is suspended while a
// call on it is under way, and a call waits for a resume that is.

#include <gtest/gtest.h>

#include <functional>

#include "base/check.h"
#include "explore/run.h"
#include "explore/scenario/catalogue.h"
#include "explore/scenario/stage.h"
#include "explore/scenario/unexplored.h"
#include "host/vfio/device.h"
#include "hw/pci_function.h"
#include "unit/host/vfio/set_irq.h"

namespace teeio::vfio::low_power_race_test {
namespace {

using explore::kPf;
using explore::Stage;
using explore::Unexplored;
using explore::Vmm;

constexpr std::uint64_t kConfigSpace = std::uint64_t{kConfigRegion} << kRegionShift;
constexpr std::uint64_t kMemoryBar = std::uint64_t{2} << kRegionShift;

/// A card whose PF has INTx and nothing that keeps it awake.
machine::Config design() {
  machine::Config config = explore::default_designs()[0];
  config.cards.front().intx = true;
  config.cards.front().vfs = 0;
  return config;
}

void holds(std::string name, std::function<void(const machine::Config&)> body) {
  const explore::MachineScenario scenario{
      .name = std::move(name), .description = "", .body = std::move(body)};
  const explore::ScenarioResult result = explore::run_scenario(
      explore::make_scenario(scenario, design()),
      {.strategy = explore::StrategyKind::kBounded, .max_schedules = 20'000, .shrink = false});
  if (result.failure)
    ADD_FAILURE() << result.failure->rule << ": " << result.failure->what << '\n'
                  << result.failure->story;
  EXPECT_GT(result.schedules, 10U);
}

/// A program that has the PF, with INTx going to an eventfd.
class Sleeper {
 public:
  explicit Sleeper(Stage& stage) : vmm_(stage.vmm()) {
    explore::must(vmm_.open_device(kPf));
    explore::must(vmm_.bind_iommufd());
    constexpr std::uint16_t kMemory = 2;
    TEEIO_CHECK(vmm_.pwrite(vmm_.vfio, kConfigSpace + 4, bytes_of(kMemory)).has_value(),
                "memory space cannot be switched on");
    const auto fd = vmm_.install(object::Ref<object::File>(object::make_ref<mm::PlainEventFd>()));
    TEEIO_CHECK(fd.has_value(), "an eventfd has no descriptor");
    explore::must(intx(VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER, *fd));
  }
  Result<void> feature(std::uint32_t flags) {
    struct {
      std::uint32_t argsz, flags;
    } arg{sizeof(arg), VFIO_DEVICE_FEATURE_SET | flags};
    TEEIO_TRY(vmm_.ioctl(vmm_.vfio, VFIO_DEVICE_FEATURE, arg));
    return {};
  }
  Result<void> enter() { return feature(VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY); }
  /// The eventfd is told of who wakes it.
  Result<void> enter_with_wakeup() {
    const auto fd = vmm_.install(object::Ref<object::File>(object::make_ref<mm::PlainEventFd>()));
    TEEIO_CHECK(fd.has_value(), "an eventfd has no descriptor");
    struct {
      std::uint32_t argsz, flags;
      std::int32_t wakeup;
      std::uint32_t reserved;
    } arg{sizeof(arg), VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP,
          *fd, 0};
    TEEIO_TRY(vmm_.ioctl(vmm_.vfio, VFIO_DEVICE_FEATURE, arg));
    return {};
  }
  Result<void> leave() { return feature(VFIO_DEVICE_FEATURE_LOW_POWER_EXIT); }
  Result<void> mask() { return intx(VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_MASK, 0); }
  Result<void> unmask() { return intx(VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK, 0); }
  [[nodiscard]] bool reads() {
    std::uint32_t word = 0;
    return vmm_.pread(vmm_.vfio, kMemoryBar, writable_bytes_of(word)).has_value();
  }
  hw::PciFunction& function() {
    const auto file = vmm_.file(vmm_.vfio);
    TEEIO_CHECK(file.has_value(), "the device is closed");
    return static_cast<DeviceFile&>(**file).device().pci();
  }
  [[nodiscard]] bool masked() {
    constexpr std::uint32_t kIntxDisable = 0x400;
    return (function().config_read(4, 2) & kIntxDisable) != 0;
  }

 private:
  Result<void> intx(std::uint32_t flags, std::int32_t fd) {
    return test::set_irq(vmm_, flags, abi::VFIO_PCI_INTX_IRQ_INDEX, fd);
  }
  Vmm& vmm_;
};

/// A user of the host's: lspci reads the function's configuration.
void look(machine::Program& root) {
  std::uint32_t word = 0;
  const auto fd = root.open("/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/config");
  if (!fd) return;
  (void)root.pread(*fd, 0, writable_bytes_of(word));
  (void)root.close(*fd);
}

void mask_against_look(const machine::Config& config, Result<void> (Sleeper::*enter)()) {
  Stage stage(config, Stage::Card::kAsAtBoot);
  Sleeper sleeper(stage);
  explore::must((sleeper.*enter)());
  TEEIO_CHECK(sleeper.masked(), "it does not sleep");
  stage.mount_sysfs();
  stage.play({{"root", [&] { look(stage.root()); }}, {"vmm", [&] { (void)sleeper.mask(); }}});
  const Unexplored after;
  // Who was woken by an eventfd has left already.
  if (enter == &Sleeper::enter) explore::must(sleeper.leave());
  TEEIO_CHECK(sleeper.masked(), "INTx comes though the program has masked it");
  explore::must(sleeper.unmask());
  TEEIO_CHECK(!sleeper.masked(), "INTx stays masked");
}

TEST(LowPowerRace, TheProgramsMaskOfIntxIsNotUndone) {
  holds("low-power/mask-against-look",
        [](const machine::Config& config) { mask_against_look(config, &Sleeper::enter); });
}

TEST(LowPowerRace, NorWhereTheProgramIsToldOfTheWake) {
  holds("low-power/mask-against-look-with-wakeup", [](const machine::Config& config) {
    mask_against_look(config, &Sleeper::enter_with_wakeup);
  });
}

TEST(LowPowerRace, ACallThatBeganBeforeTheEntryFindsTheFunctionAwake) {
  holds("low-power/entry-against-read", [](const machine::Config& config) {
    Stage stage(config, Stage::Card::kAsAtBoot);
    Sleeper sleeper(stage);
    bool reads = false;
    stage.play(
        {{"vmm", [&] { (void)sleeper.enter(); }}, {"vcpu", [&] { reads = sleeper.reads(); }}});
    const Unexplored after;
    TEEIO_CHECK(reads, "a read found the function asleep");
    explore::must(sleeper.leave());
    TEEIO_CHECK(!sleeper.masked(), "INTx stays masked");
  });
}

TEST(LowPowerRace, AnExitLeavesAFunctionThatSomebodyEntersMeanwhileWhole) {
  holds("low-power/exit-against-entry", [](const machine::Config& config) {
    Stage stage(config, Stage::Card::kAsAtBoot);
    Sleeper sleeper(stage);
    stage.play({{"vmm", [&] { (void)sleeper.enter(); }},
                {"other", [&] { explore::must(sleeper.leave()); }}});
    const Unexplored after;
    TEEIO_CHECK(sleeper.reads(), "a read found the function asleep");
    explore::must(sleeper.leave());
    TEEIO_CHECK(!sleeper.masked(), "INTx stays masked");
    TEEIO_CHECK(sleeper.enter().has_value(), "it cannot be entered again");
  });
}

}  // namespace
}  // namespace teeio::vfio::low_power_race_test
