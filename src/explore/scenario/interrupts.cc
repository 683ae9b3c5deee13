// INTx: a level that masks itself, and those who unmask it, at once.

#include <optional>

#include "base/check.h"
#include "explore/scenario/stage.h"
#include "explore/scenario/themes.h"
#include "explore/scenario/unexplored.h"
#include "host/vfio/device.h"

namespace teeio::explore {
namespace {

using machine::Config;

Config with_pin(const Config& design) {
  Config pin = design;
  pin.cards.front().intx = true;
  return pin;
}

/// A program whose PF's INTx goes to an eventfd, and what its driver does with the engine.
class IntxBench {
 public:
  explicit IntxBench(Vmm& vmm) : vmm_(vmm) {
    must(vmm_.open_device(kPf));
    must(vmm_.bind_iommufd());
    trigger_fd_ = install(trigger_);
    unmask_fd_ = install(unmask_);
    constexpr std::uint16_t kMemory = 2;
    TEEIO_CHECK(vmm_.pwrite(vmm_.vfio, kCommandAt, bytes_of(kMemory)).has_value(),
                "memory space cannot be switched on");
  }

  Result<void> connect() { return set(VFIO_IRQ_SET_ACTION_TRIGGER, trigger_fd_); }
  Result<void> unmask_by_eventfd() { return set(VFIO_IRQ_SET_ACTION_UNMASK, unmask_fd_); }
  Result<void> end_of_eventfd() { return set(VFIO_IRQ_SET_ACTION_UNMASK, -1); }
  Result<void> unmask() { return set(VFIO_IRQ_SET_ACTION_UNMASK); }
  Result<void> trigger() { return set(VFIO_IRQ_SET_ACTION_TRIGGER); }
  Result<void> disable() { return set(VFIO_IRQ_SET_ACTION_TRIGGER, std::nullopt, 0); }
  void signal() { (*unmask_->eventfd())->signal(); }
  /// The engine is on, without a ring: its next doorbell fails, and says so.
  void arm() {
    constexpr std::uint64_t kControl = 0x08;
    for (const std::uint32_t value : {2U, 1U})
      (void)vmm_.pwrite(vmm_.vfio, kControl, bytes_of(value));
  }
  void ring() {
    constexpr std::uint64_t kDoorbell = 0x24;
    (void)vmm_.pwrite(vmm_.vfio, kDoorbell, bytes_of(1U));
  }
  void raise() {
    arm();
    ring();
  }
  void acknowledge() {
    constexpr std::uint64_t kInterruptStatus = 0x38;
    (void)vmm_.pwrite(vmm_.vfio, kInterruptStatus, bytes_of(~0U));
  }
  [[nodiscard]] std::uint64_t count() { return trigger_->take(); }

 private:
  static constexpr std::uint64_t kCommandAt =
      (std::uint64_t{vfio::kConfigRegion} << vfio::kRegionShift) + 4;

  int install(const object::Ref<mm::PlainEventFd>& file) {
    const auto fd = vmm_.install(object::Ref<object::File>(file));
    TEEIO_CHECK(fd.has_value(), "an eventfd has no descriptor");
    return *fd;
  }
  Result<void> set(std::uint32_t action, std::optional<int> fd = std::nullopt,
                   std::uint32_t count = 1) {
    struct {
      std::uint32_t argsz, flags, index, start, count;
      std::int32_t fd;
    } arg{sizeof(arg),
          (fd ? VFIO_IRQ_SET_DATA_EVENTFD : VFIO_IRQ_SET_DATA_NONE) | action,
          abi::VFIO_PCI_INTX_IRQ_INDEX,
          0,
          count,
          fd.value_or(0)};
    TEEIO_TRY(vmm_.ioctl(vmm_.vfio, VFIO_DEVICE_SET_IRQS, arg));
    return {};
  }

  Vmm& vmm_;
  object::Ref<mm::PlainEventFd> trigger_ =
      object::Ref<mm::PlainEventFd>::adopt(new mm::PlainEventFd);
  object::Ref<mm::PlainEventFd> unmask_ =
      object::Ref<mm::PlainEventFd>::adopt(new mm::PlainEventFd);
  int trigger_fd_ = -1, unmask_fd_ = -1;
};

/// Whatever came before: who connects now is told of what waits, and of what comes after it
/// was acknowledged and unmasked.
void expect_interrupts(IntxBench& bench) {
  (void)bench.disable();
  (void)bench.count();
  bench.raise();
  must(bench.connect());
  TEEIO_CHECK(bench.count() == 1, "an interrupt that waits is lost");
  bench.acknowledge();
  must(bench.unmask());
  TEEIO_CHECK(bench.count() == 0, "an interrupt comes from nowhere");
  bench.raise();
  TEEIO_CHECK(bench.count() == 1, "an interrupt is lost");
}

void unmask_against_disable(const Config& design) {
  const Config pin = with_pin(design);
  Stage stage(pin, Stage::Card::kAsAtBoot);
  IntxBench bench(stage.vmm());
  must(bench.connect());
  bench.arm();
  stage.play({{"resampler", [&] { (void)bench.unmask(); }},
              {"driver", [&] { bench.ring(); }},
              {"vmm", [&] { (void)bench.disable(); }}});
  const Unexplored after;
  expect_interrupts(bench);
}

/// An eventfd that is to unmask comes, is signalled and goes.
void unmask_once_by_eventfd(IntxBench& bench) {
  if (!bench.unmask_by_eventfd()) return;
  bench.signal();
  (void)bench.end_of_eventfd();
}

void eventfd_against_disable(const Config& design) {
  const Config pin = with_pin(design);
  Stage stage(pin, Stage::Card::kAsAtBoot);
  IntxBench bench(stage.vmm());
  must(bench.connect());
  bench.arm();
  stage.play({{"resampler", [&] { unmask_once_by_eventfd(bench); }},
              {"vmm", [&] { (void)bench.disable(); }}});
  const Unexplored after;
  expect_interrupts(bench);
}

void eventfd_against_interrupt(const Config& design) {
  const Config pin = with_pin(design);
  Stage stage(pin, Stage::Card::kAsAtBoot);
  IntxBench bench(stage.vmm());
  must(bench.connect());
  bench.arm();
  stage.play(
      {{"resampler", [&] { unmask_once_by_eventfd(bench); }}, {"driver", [&] { bench.ring(); }}});
  const Unexplored after;
  expect_interrupts(bench);
}

void unmask_against_trigger(const Config& design) {
  const Config pin = with_pin(design);
  Stage stage(pin, Stage::Card::kAsAtBoot);
  IntxBench bench(stage.vmm());
  must(bench.connect());
  bench.raise();
  bench.arm();
  stage.play({{"resampler", [&] { (void)bench.unmask(); }},
              {"driver", [&] { bench.ring(); }},
              {"vmm", [&] { (void)bench.trigger(); }}});
  const Unexplored after;
  TEEIO_CHECK(bench.count() >= 2, "the interrupt and the program's own are two");
  // Nobody has acknowledged: the level is up, and masked.
  must(bench.unmask());
  TEEIO_CHECK(bench.count() == 1, "INTx is stuck");
  expect_interrupts(bench);
}

}  // namespace

void add_interrupt_scenarios(std::vector<MachineScenario>& all) {
  all.push_back({.name = "intx/unmask-against-disable",
                 .description = "unmasking INTx against an interrupt and the end of INTx",
                 .body = unmask_against_disable,
                 .fits = has_every_door});
  all.push_back({.name = "intx/eventfd-against-disable",
                 .description = "an eventfd that is to unmask INTx comes, is signalled and goes "
                                "while INTx ends",
                 .body = eventfd_against_disable,
                 .fits = has_every_door});
  all.push_back({.name = "intx/eventfd-against-interrupt",
                 .description = "the same against an interrupt",
                 .body = eventfd_against_interrupt,
                 .fits = has_every_door});
  all.push_back({.name = "intx/unmask-against-trigger",
                 .description = "unmasking INTx against a further interrupt and the "
                                "program's own trigger",
                 .body = unmask_against_trigger,
                 .fits = has_every_door});
}

}  // namespace teeio::explore
