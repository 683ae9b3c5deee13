#include <bit>
#include <cstring>
#include <vector>

#include "abi/kvm.h"
#include "entry/copy.h"
#include "entry/kvm_files.h"
#include "entry/kvm_handlers.h"

// x86's part of a VM: capabilities, interrupt controllers, clock. Linux arch/x86/kvm/x86.c,
// kvm_vm_ioctl_enable_cap() and kvm_arch_vm_ioctl(); irq.c; virt/kvm/irqchip.c.

namespace teeio::entry {
namespace {

namespace x86 = kvm::x86;

static_assert(sizeof(x86::PicState) == sizeof(abi::kvm_pic_state));
static_assert(sizeof(x86::IoapicState) == sizeof(abi::kvm_ioapic_state));
static_assert(sizeof(x86::PitChannel) == sizeof(abi::kvm_pit_channel_state));

/// What goes before the first vCPU, or says that it came too late.
template <class Use>
Result<std::int64_t> before_vcpus(Call& call, Use use) {
  TEEIO_TRY(vm_of(call).before_vcpus(use));
  return 0;
}

Result<void> enable(Call& call, const abi::kvm_enable_cap& cap) {
  x86::VmState& state = vm_of(call).x86();
  const std::uint64_t value = cap.args[0];
  switch (cap.cap) {
    case KVM_CAP_DISABLE_QUIRKS2:
      if ((value & ~x86::kSupportedQuirks) != 0)
        return fail(Errno::kInval, "no such quirk of this host");
      [[fallthrough]];
    case KVM_CAP_DISABLE_QUIRKS:
      state.disable_quirks(value);
      return {};
    case KVM_CAP_SPLIT_IRQCHIP:
      return vm_of(call).before_vcpus([value](x86::VmState& vm, std::size_t created) {
        return vm.split_irqchip(value, created);
      });
    case KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2:
      return vm_of(call).set_dirty_log_protect(value);
    case KVM_CAP_X2APIC_API:
      return state.set_x2apic_api(value);
    case KVM_CAP_EXCEPTION_PAYLOAD:
      state.set_exception_payload(value != 0);
      return {};
    case KVM_CAP_X86_TRIPLE_FAULT_EVENT:
      state.set_triple_fault_event(value != 0);
      return {};
    case KVM_CAP_EXIT_HYPERCALL:
      return state.set_hypercall_exits(value);
    case KVM_CAP_MAX_VCPU_ID:
      return state.set_max_ids(value);
    case KVM_CAP_X86_APIC_BUS_CYCLES_NS:
      return vm_of(call).before_vcpus([value](x86::VmState& vm, std::size_t created) {
        return vm.set_bus_cycle_ns(value, created);
      });
    case KVM_CAP_X86_DISABLE_EXITS:
      // kvm_get_allowed_disable_exits(): this host's guests always exit.
      if (value == 0) return {};
      break;
    default:
      break;
  }
  return fail(Errno::kInval, "the VM has no such capability to enable");
}

x86::Route route_of(const abi::kvm_irq_routing_entry& entry) {
  x86::Route route;
  route.gsi = entry.gsi;
  route.msi = entry.type == KVM_IRQ_ROUTING_MSI;
  if (route.msi) {
    route.message = {.address_lo = entry.u.msi.address_lo,
                     .address_hi = entry.u.msi.address_hi,
                     .data = entry.u.msi.data};
  } else {
    route.chip = static_cast<x86::Chip>(entry.u.irqchip.irqchip);
    route.pin = entry.u.irqchip.pin;
  }
  return route;
}

Result<void> check_route(const abi::kvm_irq_routing_entry& entry) {
  switch (entry.type) {
    case KVM_IRQ_ROUTING_MSI:
      if ((entry.flags & ~KVM_MSI_VALID_DEVID) == 0) return {};
      break;
    case KVM_IRQ_ROUTING_IRQCHIP:
      if (entry.flags == 0 && entry.u.irqchip.irqchip <= KVM_IRQCHIP_IOAPIC) return {};
      break;
    default:
      return fail(Errno::kInval, "no such kind of interrupt route");
  }
  return fail(Errno::kInval, "a route has a flag, or a chip that is not there");
}

}  // namespace

Result<std::int64_t> ioctl_vm_enable_cap(Call& call) {
  TEEIO_ASSIGN(const auto cap, copy_in<abi::kvm_enable_cap>(call.memory(), call.argument));
  if (cap.flags != 0) return fail(Errno::kInval, "KVM_ENABLE_CAP has no flags");
  TEEIO_TRY(enable(call, cap));
  return 0;
}

Result<std::int64_t> ioctl_set_tss_addr(Call& call) {
  TEEIO_TRY(x86::VmState::check_tss_address(call.argument));
  return 0;
}

Result<std::int64_t> ioctl_set_identity_map_addr(Call& call) {
  return before_vcpus(call, [&call](x86::VmState&, std::size_t created) -> Result<void> {
    TEEIO_TRY(x86::VmState::check_identity_map(created));
    TEEIO_TRY(copy_in<std::uint64_t>(call.memory(), call.argument));
    return {};
  });
}

Result<std::int64_t> ioctl_set_nr_mmu_pages(Call& call) {
  TEEIO_TRY(vm_of(call).x86().set_nr_mmu_pages(call.argument));
  return 0;
}

Result<std::int64_t> ioctl_set_boot_cpu_id(Call& call) {
  return before_vcpus(call, [&call](x86::VmState& vm, std::size_t created) {
    return vm.set_boot_cpu(call.argument, created);
  });
}

Result<std::int64_t> ioctl_create_irqchip(Call& call) {
  return before_vcpus(
      call, [](x86::VmState& vm, std::size_t created) { return vm.create_irqchip(created); });
}

Result<std::int64_t> ioctl_get_irqchip(Call& call) {
  using Arg = abi::kvm_irqchip;
  TEEIO_ASSIGN(Arg arg, copy_in<Arg>(call.memory(), call.argument));
  x86::Interrupts& interrupts = vm_of(call).x86().interrupts();
  if (arg.chip_id <= KVM_IRQCHIP_PIC_SLAVE) {
    TEEIO_ASSIGN(const x86::PicState state, interrupts.pic(arg.chip_id));
    arg.chip.pic = std::bit_cast<abi::kvm_pic_state>(state);
  } else {
    TEEIO_ASSIGN(const x86::IoapicState state, interrupts.ioapic());
    if (arg.chip_id != KVM_IRQCHIP_IOAPIC) return fail(Errno::kInval, "no such irqchip");
    arg.chip.ioapic = std::bit_cast<abi::kvm_ioapic_state>(state);
  }
  TEEIO_TRY(copy_out(call.memory(), call.argument, arg));
  return 0;
}

Result<std::int64_t> ioctl_set_irqchip(Call& call) {
  using Arg = abi::kvm_irqchip;
  TEEIO_ASSIGN(const Arg arg, copy_in<Arg>(call.memory(), call.argument));
  x86::Interrupts& interrupts = vm_of(call).x86().interrupts();
  if (arg.chip_id <= KVM_IRQCHIP_PIC_SLAVE) {
    TEEIO_TRY(interrupts.set_pic(arg.chip_id, std::bit_cast<x86::PicState>(arg.chip.pic)));
    return 0;
  }
  TEEIO_TRY(interrupts.ioapic());
  if (arg.chip_id != KVM_IRQCHIP_IOAPIC) return fail(Errno::kInval, "no such irqchip");
  TEEIO_TRY(interrupts.set_ioapic(std::bit_cast<x86::IoapicState>(arg.chip.ioapic)));
  return 0;
}

Result<std::int64_t> ioctl_create_pit(Call& call) {
  TEEIO_TRY(vm_of(call).x86().interrupts().create_pit());
  return 0;
}

Result<std::int64_t> ioctl_create_pit2(Call& call) {
  TEEIO_TRY(copy_in<abi::kvm_pit_config>(call.memory(), call.argument));
  TEEIO_TRY(vm_of(call).x86().interrupts().create_pit());
  return 0;
}

Result<std::int64_t> ioctl_get_pit(Call& call) {
  TEEIO_TRY(copy_in<abi::kvm_pit_state>(call.memory(), call.argument));
  TEEIO_ASSIGN(const x86::PitState state, vm_of(call).x86().interrupts().pit());
  TEEIO_TRY(copy_out(call.memory(), call.argument, state.channels));
  return 0;
}

Result<std::int64_t> ioctl_set_pit(Call& call) {
  x86::PitState state;
  TEEIO_TRY(call.memory().read(call.argument, writable_bytes_of(state.channels)));
  TEEIO_ASSIGN(const x86::PitState before, vm_of(call).x86().interrupts().pit());
  state.flags = before.flags;
  TEEIO_TRY(vm_of(call).x86().interrupts().set_pit(state));
  return 0;
}

Result<std::int64_t> ioctl_get_pit2(Call& call) {
  TEEIO_ASSIGN(const x86::PitState state, vm_of(call).x86().interrupts().pit());
  abi::kvm_pit_state2 arg{};
  std::memcpy(arg.channels, state.channels.data(), sizeof(arg.channels));
  arg.flags = state.flags;
  TEEIO_TRY(copy_out(call.memory(), call.argument, arg));
  return 0;
}

Result<std::int64_t> ioctl_set_pit2(Call& call) {
  TEEIO_ASSIGN(const auto arg, copy_in<abi::kvm_pit_state2>(call.memory(), call.argument));
  x86::PitState state;
  std::memcpy(state.channels.data(), arg.channels, sizeof(arg.channels));
  state.flags = arg.flags;
  TEEIO_TRY(vm_of(call).x86().interrupts().set_pit(state));
  return 0;
}

Result<std::int64_t> ioctl_reinject_control(Call& call) {
  TEEIO_TRY(copy_in<abi::kvm_reinject_control>(call.memory(), call.argument));
  TEEIO_TRY(vm_of(call).x86().interrupts().control_pit_reinjection());
  return 0;
}

Result<std::int64_t> ioctl_set_gsi_routing(Call& call) {
  using Entry = abi::kvm_irq_routing_entry;
  TEEIO_ASSIGN(const auto header, copy_in<ListHeader>(call.memory(), call.argument));
  x86::Interrupts& interrupts = vm_of(call).x86().interrupts();
  if (interrupts.mode() == x86::IrqchipMode::kNone)
    return fail(Errno::kInval, "routes need an irqchip");
  if (header.count > x86::kMaxIrqRoutes || header.flags != 0)
    return fail(Errno::kInval, "too many routes, or a flag");
  std::vector<Entry> entries(header.count);
  TEEIO_TRY(call.memory().read(call.argument + offsetof(abi::kvm_irq_routing, entries),
                               std::as_writable_bytes(std::span(entries))));
  std::vector<x86::Route> routes;
  for (const Entry& entry : entries) {
    TEEIO_TRY(check_route(entry));
    routes.push_back(route_of(entry));
  }
  TEEIO_TRY(interrupts.set_routes(std::move(routes)));
  return 0;
}

/// KVM_IRQ_LINE and, with the status in it, KVM_IRQ_LINE_STATUS.
Result<std::int64_t> ioctl_irq_line(Call& call) {
  TEEIO_ASSIGN(const auto arg, copy_in<abi::kvm_irq_level>(call.memory(), call.argument));
  TEEIO_TRY(
      vm_of(call).x86().interrupts().set_line(arg.irq, arg.level != 0, x86::IrqSource::kUser));
  return 0;
}

Result<std::int64_t> ioctl_irq_line_status(Call& call) {
  TEEIO_ASSIGN(auto arg, copy_in<abi::kvm_irq_level>(call.memory(), call.argument));
  TEEIO_ASSIGN(arg.status, vm_of(call).x86().interrupts().set_line(arg.irq, arg.level != 0,
                                                                   x86::IrqSource::kUser));
  TEEIO_TRY(copy_out(call.memory(), call.argument, arg));
  return 0;
}

/// kvm_send_userspace_msi(): nobody addressed is -1, which a program sees as EPERM.
Result<std::int64_t> ioctl_signal_msi(Call& call) {
  TEEIO_ASSIGN(const auto arg, copy_in<abi::kvm_msi>(call.memory(), call.argument));
  // The id of the device counts on other architectures only.
  if ((arg.flags & ~static_cast<std::uint32_t>(KVM_MSI_VALID_DEVID)) != 0)
    return fail(Errno::kInval, "an unknown flag of KVM_SIGNAL_MSI is set");
  TEEIO_ASSIGN(const std::int32_t taken,
               vm_of(call).x86().interrupts().send_msi(
                   {.address_lo = arg.address_lo, .address_hi = arg.address_hi, .data = arg.data}));
  if (taken < 0) return fail(Errno::kPerm, "no local APIC is addressed by the MSI");
  return taken;
}

Result<std::int64_t> ioctl_set_clock(Call& call) {
  TEEIO_ASSIGN(const auto arg, copy_in<abi::kvm_clock_data>(call.memory(), call.argument));
  // With KVM_CLOCK_REALTIME the clock goes on from that time of day: none passes here.
  if ((arg.flags & ~x86::kClockFlags) != 0)
    return fail(Errno::kInval, "an unknown flag of KVM_SET_CLOCK is set");
  vm_of(call).x86().set_clock(arg.clock);
  return 0;
}

Result<std::int64_t> ioctl_get_clock(Call& call) {
  abi::kvm_clock_data arg{};
  arg.clock = vm_of(call).x86().clock();
  TEEIO_TRY(copy_out(call.memory(), call.argument, arg));
  return 0;
}

Result<std::int64_t> ioctl_vm_set_tsc_khz(Call& call) {
  return before_vcpus(call, [&call](x86::VmState& vm, std::size_t created) {
    return vm.set_tsc_khz(static_cast<std::uint32_t>(call.argument), created);
  });
}

Result<std::int64_t> ioctl_vm_get_tsc_khz(Call& call) { return vm_of(call).x86().tsc_khz(); }

}  // namespace teeio::entry
