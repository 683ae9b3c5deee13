// Interrupt controllers, routes, eventfds and what KVM_ENABLE_CAP turns on: refusals first.

#include "unit/entry/kvm_irq.h"

namespace teeio::entry {
namespace {

struct Routes {
  struct {
    std::uint32_t nr = 0, flags = 0;
  } header;
  abi::kvm_irq_routing_entry entries[4] = {};
};

abi::kvm_irq_routing_entry msi_route(std::uint32_t gsi, std::uint32_t vector) {
  abi::kvm_irq_routing_entry entry{};
  entry.gsi = gsi;
  entry.type = KVM_IRQ_ROUTING_MSI;
  entry.u.msi.address_lo = 0xfee0'0000;
  entry.u.msi.data = vector;
  return entry;
}

// --- The irqchip ---

TEST(KvmIrqchip, ThereIsOneAndItComesBeforeTheVcpus) {
  KvmVm split(Irqchip::kSplit);
  EXPECT_EQ(error_of(split.vmm.ioctl(split.vmm.vm, KVM_CREATE_IRQCHIP, std::uint64_t{0})),
            Errno::kExist);
  EXPECT_EQ(error_of(split.enable(KVM_CAP_SPLIT_IRQCHIP, 24)), Errno::kExist);
  KvmVm late;
  late.add_vcpu();
  EXPECT_EQ(error_of(late.vmm.ioctl(late.vmm.vm, KVM_CREATE_IRQCHIP, std::uint64_t{0})),
            Errno::kInval);
  EXPECT_EQ(error_of(late.enable(KVM_CAP_SPLIT_IRQCHIP, 24)), Errno::kExist);
  KvmVm wide;
  EXPECT_EQ(error_of(wide.enable(KVM_CAP_SPLIT_IRQCHIP, 4097)), Errno::kInval);
}

TEST(KvmIrqchip, StateNeedsTheFullOneAndAChipThatIsThere) {
  KvmVm split(Irqchip::kSplit);
  abi::kvm_irqchip chip{};
  EXPECT_EQ(error_of(split.vmm.ioctl(split.vmm.vm, KVM_GET_IRQCHIP, chip)), Errno::kNxio);
  KvmVm kernel(Irqchip::kKernel);
  chip.chip_id = 3;
  EXPECT_EQ(error_of(kernel.vmm.ioctl(kernel.vmm.vm, KVM_GET_IRQCHIP, chip)), Errno::kInval);
  chip.chip_id = KVM_IRQCHIP_IOAPIC;
  ASSERT_TRUE(kernel.vmm.ioctl(kernel.vmm.vm, KVM_GET_IRQCHIP, chip).has_value());
  EXPECT_EQ(chip.chip.ioapic.base_address, 0xfec0'0000U);
  EXPECT_EQ(chip.chip.ioapic.redirtbl[5], 1ULL << 16U);
}

TEST(KvmIrqchip, PicRemembersEdgesAndItsMaskSaysNo) {
  KvmVm vm(Irqchip::kKernel);
  abi::kvm_irq_level line{};
  line.irq = 4;
  line.level = 1;
  // The PIC takes it, the masked I/O APIC does not.
  auto status = vm.get(vm.vmm.vm, KVM_IRQ_LINE_STATUS, line);
  EXPECT_EQ(status.status, 1);
  EXPECT_EQ(vm.get(vm.vmm.vm, KVM_IRQ_LINE_STATUS, line).status, 1);
  abi::kvm_irqchip chip{};
  chip = vm.get(vm.vmm.vm, KVM_GET_IRQCHIP, chip);
  EXPECT_EQ(chip.chip.pic.irr, 1U << 4U);
  chip.chip.pic.imr = 0xff;
  ASSERT_TRUE(vm.set(vm.vmm.vm, KVM_SET_IRQCHIP, chip).has_value());
  line.level = 0;
  ASSERT_TRUE(vm.set(vm.vmm.vm, KVM_IRQ_LINE, line).has_value());
  line.level = 1;
  EXPECT_EQ(vm.get(vm.vmm.vm, KVM_IRQ_LINE_STATUS, line).status, -1);
}

TEST(KvmIrqchip, UnmaskedIoapicPinReachesTheLocalApic) {
  KvmVm vm(Irqchip::kKernel);
  vm.add_vcpu();
  enable_lapic(vm);
  abi::kvm_irqchip chip{};
  chip.chip_id = KVM_IRQCHIP_IOAPIC;
  chip = vm.get(vm.vmm.vm, KVM_GET_IRQCHIP, chip);
  chip.chip.ioapic.redirtbl[20] = 0x55;
  ASSERT_TRUE(vm.set(vm.vmm.vm, KVM_SET_IRQCHIP, chip).has_value());
  abi::kvm_irq_level line{};
  line.irq = 20;
  line.level = 1;
  EXPECT_EQ(vm.get(vm.vmm.vm, KVM_IRQ_LINE_STATUS, line).status, 1);
  EXPECT_TRUE(requested(vm, 0x55));
}

TEST(KvmPit, NeedsThePicAndComesOnce) {
  KvmVm split(Irqchip::kSplit);
  abi::kvm_pit_config config{};
  EXPECT_EQ(error_of(split.vmm.ioctl(split.vmm.vm, KVM_CREATE_PIT2, config)), Errno::kNoEnt);
  abi::kvm_pit_state2 state{};
  EXPECT_EQ(error_of(split.vmm.ioctl(split.vmm.vm, KVM_GET_PIT2, state)), Errno::kNxio);
  KvmVm kernel(Irqchip::kKernel);
  ASSERT_TRUE(kernel.vmm.ioctl(kernel.vmm.vm, KVM_CREATE_PIT2, config).has_value());
  EXPECT_EQ(error_of(kernel.vmm.ioctl(kernel.vmm.vm, KVM_CREATE_PIT2, config)), Errno::kExist);
  state = kernel.get<abi::kvm_pit_state2>(kernel.vmm.vm, KVM_GET_PIT2);
  EXPECT_EQ(state.channels[0].count, 0x1'0000U);
  EXPECT_EQ(state.channels[2].gate, 0);
  state.channels[1].count = 77;
  ASSERT_TRUE(kernel.set(kernel.vmm.vm, KVM_SET_PIT2, state).has_value());
  EXPECT_EQ(kernel.get<abi::kvm_pit_state2>(kernel.vmm.vm, KVM_GET_PIT2).channels[1].count, 77U);
}

// --- Routes and messages ---

TEST(KvmRouting, WrongRoutesAreRefusedAndTheOldOnesStay) {
  KvmVm vm(Irqchip::kSplit);
  vm.add_vcpu();
  enable_lapic(vm);
  Routes routes{.header = {.nr = 1, .flags = 0}, .entries = {msi_route(5, 0x41)}};
  ASSERT_TRUE(vm.set(vm.vmm.vm, KVM_SET_GSI_ROUTING, routes).has_value());
  const auto refused = [&](auto change) {
    Routes wrong = routes;
    change(wrong);
    return error_of(vm.set(vm.vmm.vm, KVM_SET_GSI_ROUTING, wrong));
  };
  EXPECT_EQ(refused([](Routes& r) { r.entries[0].gsi = 4096; }), Errno::kInval);
  EXPECT_EQ(refused([](Routes& r) { r.entries[0].flags = 2; }), Errno::kInval);
  EXPECT_EQ(refused([](Routes& r) { r.entries[0].type = 9; }), Errno::kInval);
  EXPECT_EQ(refused([](Routes& r) { r.header.flags = 1; }), Errno::kInval);
  EXPECT_EQ(refused([](Routes& r) { r.header.nr = 4097; }), Errno::kInval);
  EXPECT_EQ(refused([](Routes& r) {  // pins are the VMM's
              r.entries[0].type = KVM_IRQ_ROUTING_IRQCHIP;
              r.entries[0].u.irqchip = {.irqchip = KVM_IRQCHIP_IOAPIC, .pin = 1};
            }),
            Errno::kInval);
  EXPECT_EQ(refused([](Routes& r) {
              r.header.nr = 2;
              r.entries[1] = r.entries[0];
            }),
            Errno::kInval);
  abi::kvm_irq_level line{};
  line.irq = 5;
  line.level = 1;
  ASSERT_TRUE(vm.set(vm.vmm.vm, KVM_IRQ_LINE, line).has_value());
  EXPECT_TRUE(requested(vm, 0x41));
}

TEST(KvmRouting, WithoutAnIrqchipThereIsNothingToRouteTo) {
  KvmVm vm;
  Routes routes{.header = {.nr = 1, .flags = 0}, .entries = {msi_route(5, 0x41)}};
  EXPECT_EQ(error_of(vm.set(vm.vmm.vm, KVM_SET_GSI_ROUTING, routes)), Errno::kInval);
  EXPECT_EQ(error_of(vm.set(vm.vmm.vm, KVM_IRQ_LINE, abi::kvm_irq_level{})), Errno::kNxio);
  EXPECT_EQ(error_of(vm.set(vm.vmm.vm, KVM_SIGNAL_MSI, abi::kvm_msi{})), Errno::kInval);
}

TEST(KvmMsi, DeliveredBlockedAndNobodyAreThreeAnswers) {
  KvmVm vm(Irqchip::kSplit);
  vm.add_vcpu();
  abi::kvm_msi msi{};
  msi.address_lo = 0xfee0'0000;
  msi.data = 0x42;
  EXPECT_EQ(vm.set(vm.vmm.vm, KVM_SIGNAL_MSI, msi), 0);  // the local APIC is off
  enable_lapic(vm);
  EXPECT_EQ(vm.set(vm.vmm.vm, KVM_SIGNAL_MSI, msi), 1);
  EXPECT_TRUE(requested(vm, 0x42));
  msi.address_lo = 0xfee0'5000;  // no vCPU 5: kvm_irq_delivery_to_apic_fast() knows that
  EXPECT_EQ(vm.set(vm.vmm.vm, KVM_SIGNAL_MSI, msi), 0);
  msi.flags = KVM_MSI_VALID_DEVID;
  EXPECT_EQ(vm.set(vm.vmm.vm, KVM_SIGNAL_MSI, msi), 0);
  KvmVm empty(Irqchip::kSplit);
  EXPECT_EQ(error_of(empty.set(empty.vmm.vm, KVM_SIGNAL_MSI, msi)), Errno::kPerm);
  msi.flags = 2;
  EXPECT_EQ(error_of(vm.set(vm.vmm.vm, KVM_SIGNAL_MSI, msi)), Errno::kInval);
}

TEST(KvmLapic, BelongsToKvmOnlyWithAnIrqchip) {
  KvmVm vm;
  vm.add_vcpu();
  abi::kvm_lapic_state state{};
  EXPECT_EQ(error_of(vm.vmm.ioctl(vm.vmm.vcpu, KVM_GET_LAPIC, state)), Errno::kInval);
  EXPECT_EQ(error_of(vm.vmm.ioctl(vm.vmm.vcpu, KVM_SET_LAPIC, state)), Errno::kInval);
}

TEST(KvmLapic, WideIdsMustBeTheVcpusOwn) {
  KvmVm vm(Irqchip::kSplit);
  EXPECT_EQ(error_of(vm.enable(KVM_CAP_X2APIC_API, 16)), Errno::kInval);
  ASSERT_TRUE(vm.enable(KVM_CAP_X2APIC_API, KVM_X2APIC_API_USE_32BIT_IDS).has_value());
  vm.add_vcpu();
  ASSERT_TRUE(vm.set_cpuid(vm.supported()).has_value());
  ASSERT_TRUE(vm.set_msr(0x1b, 0xfee0'0d00));
  auto state = vm.get<abi::kvm_lapic_state>(vm.vmm.vcpu, KVM_GET_LAPIC);
  state.regs[0x20] = 1;
  EXPECT_EQ(error_of(vm.set(vm.vmm.vcpu, KVM_SET_LAPIC, state)), Errno::kInval);
  state.regs[0x20] = 0;
  EXPECT_TRUE(vm.set(vm.vmm.vcpu, KVM_SET_LAPIC, state).has_value());
}

// --- Eventfds ---

TEST(KvmIrqfd, NeedsAnIrqchipAnEventfdAndALineOfItsOwn) {
  KvmVm none;
  EventFd early(none);
  EXPECT_EQ(error_of(irqfd(none, early.fd, 5)), Errno::kInval);
  KvmVm vm(Irqchip::kSplit);
  EventFd event(vm);
  EXPECT_EQ(error_of(irqfd(vm, 999, 5)), Errno::kBadF);
  EXPECT_EQ(error_of(irqfd(vm, vm.vmm.vm, 5)), Errno::kInval);
  EXPECT_EQ(error_of(irqfd(vm, event.fd, 5, 4)), Errno::kInval);
  EXPECT_EQ(error_of(irqfd(vm, event.fd, 5, KVM_IRQFD_FLAG_RESAMPLE, event.fd)), Errno::kInval);
  ASSERT_TRUE(irqfd(vm, event.fd, 5).has_value());
  EXPECT_EQ(error_of(irqfd(vm, event.fd, 6)), Errno::kBusy);
}

// kvm_irqfd_register(): Linux tools/testing/selftests/kvm/irqfd_test.c asks for it.
TEST(KvmIrqfd, AnEventfdHasOneLineWhicheverVmsItIs) {
  KvmVm vm(Irqchip::kSplit);
  EventFd event(vm);
  {
    KvmVm other(Irqchip::kSplit, vm.machine);
    const int same = other.vmm.install(object::Ref<object::File>(event.file)).value_or(-1);
    ASSERT_TRUE(irqfd(other, same, 5).has_value());
    EXPECT_EQ(error_of(irqfd(vm, event.fd, 5)), Errno::kBusy);
    EXPECT_TRUE(irqfd(vm, event.fd, 5, KVM_IRQFD_FLAG_DEASSIGN).has_value());  // none of its own
    EXPECT_EQ(error_of(irqfd(vm, event.fd, 5)), Errno::kBusy);
  }
  EXPECT_TRUE(irqfd(vm, event.fd, 5).has_value()) << "the other VM is gone";
}

// What a machine knows of eventfds goes with it: another one is another host.
TEST(KvmIrqfd, AnEventfdThatHasALineOnOneMachineIsFreeOnAnother) {
  KvmVm vm(Irqchip::kSplit);
  EventFd event(vm);
  ASSERT_TRUE(irqfd(vm, event.fd, 5).has_value());
  KvmVm elsewhere(Irqchip::kSplit);
  const int same = elsewhere.vmm.install(object::Ref<object::File>(event.file)).value_or(-1);
  EXPECT_TRUE(irqfd(elsewhere, same, 5).has_value());
}

TEST(KvmIrqfd, SignalRaisesTheRouteUntilItIsDeassigned) {
  KvmVm vm(Irqchip::kSplit);
  vm.add_vcpu();
  enable_lapic(vm);
  Routes routes{.header = {.nr = 2, .flags = 0},
                .entries = {msi_route(5, 0x51), msi_route(6, 0x52)}};
  ASSERT_TRUE(vm.set(vm.vmm.vm, KVM_SET_GSI_ROUTING, routes).has_value());
  EventFd event(vm);
  ASSERT_TRUE(irqfd(vm, event.fd, 5).has_value());
  event.signal();
  EXPECT_TRUE(requested(vm, 0x51));
  EXPECT_EQ(event.file->take(), 0U);
  EXPECT_TRUE(irqfd(vm, event.fd, 6, KVM_IRQFD_FLAG_DEASSIGN).has_value());  // another line: none
  ASSERT_TRUE(irqfd(vm, event.fd, 5, KVM_IRQFD_FLAG_DEASSIGN).has_value());
  ASSERT_TRUE(irqfd(vm, event.fd, 6).has_value());
  event.signal();
  EXPECT_TRUE(requested(vm, 0x52));
}

// kvm_vm_release(), kvm_irqfd_release(): with the VM's descriptor, not with the VM.
TEST(KvmIrqfd, GoesWithTheVmsDescriptorThoughAVcpuKeepsTheVm) {
  KvmVm vm(Irqchip::kSplit);
  EventFd event(vm);
  KvmVm closed(Irqchip::kSplit, vm.machine);
  closed.add_vcpu();
  enable_lapic(closed);
  Routes routes{.header = {.nr = 1, .flags = 0}, .entries = {msi_route(5, 0x51)}};
  ASSERT_TRUE(closed.set(closed.vmm.vm, KVM_SET_GSI_ROUTING, routes).has_value());
  const int same = closed.vmm.install(object::Ref<object::File>(event.file)).value_or(-1);
  ASSERT_TRUE(irqfd(closed, same, 5).has_value());
  event.signal();
  ASSERT_TRUE(closed.vmm.close(closed.vmm.vm).has_value());
  EXPECT_TRUE(requested(closed, 0x51)) << "what was signalled before counts";
  event.signal();
  (void)requested(closed, 0x51);
  EXPECT_EQ(event.file->take(), 1U) << "a VM without a descriptor takes a signal";
  EXPECT_TRUE(irqfd(vm, event.fd, 5).has_value());
}

// kvm_io_bus_register_dev() does not count them: descriptors bound them.
TEST(KvmIoeventfd, AreNotCountedAgainstTheBus) {
  KvmVm vm;
  EventFd event(vm);
  abi::kvm_ioeventfd arg{};
  arg.fd = event.fd;
  arg.len = 4;
  for (std::uint64_t i = 0; i < 1200; ++i) {
    arg.addr = 0x10'0000 + i * 8;
    ASSERT_TRUE(vm.set(vm.vmm.vm, KVM_IOEVENTFD, arg).has_value()) << i;
  }
}

TEST(KvmIoeventfd, RangesCollisionsAndUnknownOnesAreRefused) {
  KvmVm vm;
  EventFd event(vm);
  abi::kvm_ioeventfd arg{};
  arg.fd = event.fd;
  arg.addr = 0x1000;
  const auto call = [&](auto change) {
    abi::kvm_ioeventfd wrong = arg;
    change(wrong);
    return vm.set(vm.vmm.vm, KVM_IOEVENTFD, wrong);
  };
  EXPECT_EQ(error_of(call([](auto& a) { a.len = 3; })), Errno::kInval);
  EXPECT_EQ(error_of(call([](auto& a) { a.flags = 32; })), Errno::kInval);
  EXPECT_EQ(error_of(call([](auto& a) { a.flags = KVM_IOEVENTFD_FLAG_DATAMATCH; })), Errno::kInval);
  EXPECT_EQ(error_of(call([](auto& a) {
              a.addr = ~0ULL;
              a.len = 4;
            })),
            Errno::kInval);
  EXPECT_EQ(error_of(call([](auto& a) { a.flags = KVM_IOEVENTFD_FLAG_DEASSIGN; })), Errno::kNoEnt);
  arg.len = 4;
  arg.flags = KVM_IOEVENTFD_FLAG_DATAMATCH;
  arg.datamatch = 1;
  ASSERT_TRUE(call([](auto&) {}).has_value());
  EXPECT_EQ(error_of(call([](auto&) {})), Errno::kExist);
  EXPECT_TRUE(call([](auto& a) { a.datamatch = 2; }).has_value());
  EXPECT_EQ(error_of(call([](auto& a) { a.flags = 0; })), Errno::kExist);  // any value
  EXPECT_TRUE(call([](auto& a) { a.flags = KVM_IOEVENTFD_FLAG_PIO; }).has_value());
  EXPECT_TRUE(call([](auto& a) { a.flags |= KVM_IOEVENTFD_FLAG_DEASSIGN; }).has_value());
  EXPECT_EQ(error_of(call([](auto& a) { a.flags |= KVM_IOEVENTFD_FLAG_DEASSIGN; })), Errno::kNoEnt);
}

// --- KVM_ENABLE_CAP and the rest of a VM ---

TEST(KvmCapabilities, WhatCannotBeEnabledIsEinval) {
  KvmVm vm;
  EXPECT_EQ(error_of(vm.enable(KVM_CAP_EXCEPTION_PAYLOAD, 1, 1)), Errno::kInval);  // a flag
  EXPECT_EQ(error_of(vm.enable(KVM_CAP_HYPERV, 0)), Errno::kInval);
  EXPECT_EQ(error_of(vm.enable(KVM_CAP_EXIT_HYPERCALL, 1)), Errno::kInval);
  EXPECT_EQ(error_of(vm.enable(KVM_CAP_DISABLE_QUIRKS2, 1ULL << 40U)), Errno::kInval);
  EXPECT_EQ(error_of(vm.enable(KVM_CAP_X86_DISABLE_EXITS, 1)), Errno::kInval);
  EXPECT_EQ(error_of(vm.enable(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 2)), Errno::kInval);
  EXPECT_EQ(error_of(vm.enable(KVM_CAP_MAX_VCPU_ID, 4097)), Errno::kInval);
}

TEST(KvmCapabilities, LargestIdIsSetOnceAndHolds) {
  KvmVm vm;
  ASSERT_TRUE(vm.enable(KVM_CAP_MAX_VCPU_ID, 3).has_value());
  EXPECT_TRUE(vm.enable(KVM_CAP_MAX_VCPU_ID, 3).has_value());
  EXPECT_EQ(error_of(vm.enable(KVM_CAP_MAX_VCPU_ID, 4)), Errno::kInval);
  EXPECT_EQ(error_of(vm.vmm.ioctl(vm.vmm.vm, KVM_CREATE_VCPU, std::uint64_t{3})), Errno::kInval);
  EXPECT_TRUE(vm.vmm.ioctl(vm.vmm.vm, KVM_CREATE_VCPU, std::uint64_t{2}).has_value());
}

TEST(KvmCapabilities, BusCycleNeedsAnIrqchipAndComesBeforeTheVcpus) {
  KvmVm none;
  EXPECT_EQ(error_of(none.enable(KVM_CAP_X86_APIC_BUS_CYCLES_NS, 40)), Errno::kNxio);
  KvmVm vm(Irqchip::kSplit);
  EXPECT_EQ(error_of(vm.enable(KVM_CAP_X86_APIC_BUS_CYCLES_NS, 0)), Errno::kInval);
  EXPECT_EQ(error_of(vm.enable(KVM_CAP_X86_APIC_BUS_CYCLES_NS, ~0ULL)), Errno::kInval);
  ASSERT_TRUE(vm.enable(KVM_CAP_X86_APIC_BUS_CYCLES_NS, 40).has_value());
  EXPECT_EQ(vm.extension(vm.vmm.vm, KVM_CAP_X86_APIC_BUS_CYCLES_NS), 40);
  EXPECT_EQ(vm.extension(vm.vmm.kvm, KVM_CAP_X86_APIC_BUS_CYCLES_NS), 1);
  vm.add_vcpu();
  EXPECT_EQ(error_of(vm.enable(KVM_CAP_X86_APIC_BUS_CYCLES_NS, 20)), Errno::kInval);
}

TEST(KvmVmSetup, WhatComesTooLateOrLiesTooHighIsRefused) {
  KvmVm vm;
  const auto call = [&vm](std::uint32_t command, std::uint64_t value) {
    return vm.vmm.ioctl(vm.vmm.vm, command, value);
  };
  EXPECT_EQ(error_of(call(KVM_SET_TSS_ADDR, 0x1'0000'0000)), Errno::kInval);
  EXPECT_TRUE(call(KVM_SET_TSS_ADDR, 0xfffb'd000).has_value());
  EXPECT_EQ(error_of(call(KVM_SET_NR_MMU_PAGES, 63)), Errno::kInval);
  EXPECT_TRUE(call(KVM_SET_NR_MMU_PAGES, 64).has_value());
  EXPECT_EQ(error_of(call(KVM_SET_BOOT_CPU_ID, 5000)), Errno::kInval);
  EXPECT_EQ(call(KVM_GET_TSC_KHZ, 0), 2'000'000);
  ASSERT_TRUE(call(KVM_SET_TSC_KHZ, 1'000'000).has_value());
  vm.add_vcpu();
  EXPECT_EQ(vm.vmm.ioctl(vm.vmm.vcpu, KVM_GET_TSC_KHZ, std::uint64_t{0}), 1'000'000);
  EXPECT_EQ(error_of(call(KVM_SET_TSC_KHZ, 0)), Errno::kInval);
  EXPECT_EQ(error_of(vm.vmm.ioctl(vm.vmm.vcpu, KVM_SET_TSC_KHZ, ~std::uint64_t{0})), Errno::kInval);
  EXPECT_EQ(error_of(call(KVM_SET_BOOT_CPU_ID, 1)), Errno::kBusy);
  EXPECT_EQ(error_of(call(KVM_SET_IDENTITY_MAP_ADDR, 0)), Errno::kInval);
}

TEST(KvmClock, KeepsWhatWasSetAndKnowsItsFlags) {
  KvmVm vm;
  abi::kvm_clock_data clock{};
  EXPECT_EQ(vm.extension(vm.vmm.vm, KVM_CAP_ADJUST_CLOCK), 14);
  clock.flags = 14;  // what a KVM_GET_CLOCK may have given
  EXPECT_TRUE(vm.set(vm.vmm.vm, KVM_SET_CLOCK, clock).has_value());
  clock.flags = 1;
  EXPECT_EQ(error_of(vm.set(vm.vmm.vm, KVM_SET_CLOCK, clock)), Errno::kInval);
  clock.flags = 0;
  clock.clock = 12345;
  ASSERT_TRUE(vm.set(vm.vmm.vm, KVM_SET_CLOCK, clock).has_value());
  EXPECT_EQ(vm.get<abi::kvm_clock_data>(vm.vmm.vm, KVM_GET_CLOCK).clock, 12345U);
}

TEST(KvmAttributes, SystemAndVcpuHaveOneEach) {
  KvmVm vm;
  vm.add_vcpu();
  const std::uint64_t place = vm.vmm.memory().map(kPageSize);
  abi::kvm_device_attr attr{};
  attr.addr = place;
  ASSERT_TRUE(vm.set(vm.vmm.kvm, KVM_GET_DEVICE_ATTR, attr).has_value());
  std::uint64_t value = 0;
  ASSERT_TRUE(vm.vmm.memory().read(place, writable_bytes_of(value)).has_value());
  EXPECT_EQ(value, 3U);
  EXPECT_TRUE(vm.set(vm.vmm.vcpu, KVM_HAS_DEVICE_ATTR, attr).has_value());
  attr.attr = 1;
  EXPECT_EQ(error_of(vm.set(vm.vmm.kvm, KVM_HAS_DEVICE_ATTR, attr)), Errno::kNxio);
  EXPECT_EQ(error_of(vm.set(vm.vmm.vcpu, KVM_GET_DEVICE_ATTR, attr)), Errno::kNxio);
}

}  // namespace
}  // namespace teeio::entry
