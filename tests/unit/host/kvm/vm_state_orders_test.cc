// What the x86 ioctls of a VM set lies behind locks that are no scheduling points: whoever reads
// it comes before and after each setter, though they meet nowhere else.

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string_view>

#include "base/check.h"
#include "host/kvm/x86/vm_state.h"
#include "unit/explore/both_orders.h"

namespace teeio::kvm::x86 {
namespace {

using explore::test::natively;

struct Meeting {
  std::string_view name;
  std::function<void(VmState&)> set;
  std::function<int(VmState&)> get;
};

void make_chips(VmState& vm) {
  TEEIO_CHECK(vm.interrupts().create_kernel().has_value(), "an irqchip is made");
  TEEIO_CHECK(vm.interrupts().create_pit().has_value(), "a PIT is made");
}

/// Two ends: the getter saw what was before, or what is set.
void expect_both(const Meeting& meeting, bool has_chips) {
  const auto seen = explore::test::ends([&] {
    auto vm = natively([&] {
      auto made = std::make_unique<VmState>();
      if (has_chips) make_chips(*made);
      return made;
    });
    int got = -1;
    explore::test::together([&] { meeting.set(*vm); }, [&] { got = meeting.get(*vm); });
    return got;
  });
  EXPECT_EQ(seen.size(), 2U) << meeting.name;
}

template <class T>
int first_of(const Result<T>& result, int (*value)(const T&)) {
  return result ? value(*result) : -1;
}
int mode_of(VmState& vm) { return static_cast<int>(vm.interrupts().mode()); }

TEST(VmStateInEveryOrder, WhatAnIoctlSetsIsSeenBeforeOrAfter) {
  const Meeting meetings[] = {
      {"quirks", [](VmState& vm) { vm.disable_quirks(kQuirkLint0Reenabled); },
       [](VmState& vm) { return vm.has_quirk(kQuirkLint0Reenabled) ? 1 : 0; }},
      {"exception payload", [](VmState& vm) { vm.set_exception_payload(true); },
       [](VmState& vm) { return vm.exception_payload() ? 1 : 0; }},
      {"triple fault", [](VmState& vm) { vm.set_triple_fault_event(true); },
       [](VmState& vm) { return vm.triple_fault_event() ? 1 : 0; }},
      {"hypercalls", [](VmState& vm) { (void)vm.set_hypercall_exits(kHypercallExits); },
       [](VmState& vm) { return static_cast<int>(vm.hypercall_exits()); }},
      {"ids", [](VmState& vm) { (void)vm.set_max_ids(5); },
       [](VmState& vm) { return vm.valid_id(7) ? 1 : 0; }},
      {"boot CPU", [](VmState& vm) { (void)vm.set_boot_cpu(3, 0); },
       [](VmState& vm) { return vm.is_boot_cpu(3) ? 1 : 0; }},
      {"TSC", [](VmState& vm) { (void)vm.set_tsc_khz(1'000'000, 0); },
       [](VmState& vm) { return static_cast<int>(vm.tsc_khz()); }},
      {"clock", [](VmState& vm) { vm.set_clock(9); },
       [](VmState& vm) { return static_cast<int>(vm.clock()); }},
      {"irqchip", [](VmState& vm) { (void)vm.interrupts().create_kernel(); }, mode_of},
      {"split irqchip", [](VmState& vm) { (void)vm.interrupts().create_split(8); }, mode_of},
  };
  for (const Meeting& meeting : meetings) expect_both(meeting, false);
}

TEST(VmStateInEveryOrder, WhatAnIoctlSetsOfChipsIsSeenBeforeOrAfter) {
  constexpr std::uint32_t kLine = 5;
  const Meeting meetings[] = {
      {"x2APIC ids", [](VmState& vm) { (void)vm.set_x2apic_api(kX2apicWideIds); },
       [](VmState& vm) {
         // With 32-bit ids the upper half of an MSI's address is a part of its destination.
         constexpr std::uint32_t kNoDestination = 1;
         return vm.interrupts().send_msi({.address_hi = kNoDestination}) ? 1 : 0;
       }},
      {"bus cycle", [](VmState& vm) { (void)vm.set_bus_cycle_ns(7, 0); },
       [](VmState& vm) { return static_cast<int>(vm.bus_cycle_ns()); }},
      {"PIT", [](VmState& vm) { (void)vm.interrupts().set_pit({.flags = 1}); },
       [](VmState& vm) {
         return first_of<PitState>(vm.interrupts().pit(),
                                   [](const PitState& pit) { return static_cast<int>(pit.flags); });
       }},
      {"PIC", [](VmState& vm) { (void)vm.interrupts().set_pic(0, {.imr = 9}); },
       [](VmState& vm) {
         return first_of<PicState>(vm.interrupts().pic(0),
                                   [](const PicState& pic) { return int{pic.imr}; });
       }},
      {"I/O APIC", [](VmState& vm) { (void)vm.interrupts().set_ioapic({.ioregsel = 9}); },
       [](VmState& vm) {
         return first_of<IoapicState>(vm.interrupts().ioapic(), [](const IoapicState& chip) {
           return static_cast<int>(chip.ioregsel);
         });
       }},
      {"routes", [](VmState& vm) { (void)vm.interrupts().set_routes({}); },
       [](VmState& vm) {
         return vm.interrupts().set_line(kLine, true, IrqSource::kUser).value_or(-2);
       }},
      {"line", [](VmState& vm) { (void)vm.interrupts().set_line(kLine, true, IrqSource::kUser); },
       [](VmState& vm) {
         return first_of<PicState>(vm.interrupts().pic(0),
                                   [](const PicState& pic) { return pic.irr >> kLine & 1; });
       }},
  };
  for (const Meeting& meeting : meetings) expect_both(meeting, true);
}

}  // namespace
}  // namespace teeio::kvm::x86
