// KVM_SET_GUEST_DEBUG, and what an exit leaves half done.

#include "entry/kvm_handlers.h"
#include "unit/entry/kvm_guest.h"

namespace teeio::entry {
namespace {

constexpr std::uint64_t kDr6 = 0xffff'0ff0;

Result<std::int64_t> debug(Guest& guest, std::uint32_t control, std::uint64_t address = 0,
                           std::uint64_t dr7 = 0, unsigned number = 0) {
  abi::kvm_guest_debug arg{};
  arg.control = control;
  arg.arch.debugreg[number] = address;
  arg.arch.debugreg[7] = dr7;
  return guest.set(guest.vmm.vcpu, KVM_SET_GUEST_DEBUG, arg);
}

void expect_debug_exit(Guest& guest, std::uint32_t exception, std::uint64_t pc,
                       std::uint64_t dr6 = 0) {
  EXPECT_EQ(guest.run(), KVM_EXIT_DEBUG);
  const abi::kvm_debug_exit_arch exit = guest.page().debug.arch;
  EXPECT_EQ(exit.exception, exception);
  EXPECT_EQ(exit.pc, pc);
  if (exception == 1) {
    EXPECT_EQ(exit.dr6, dr6);
  }
  EXPECT_EQ(guest.regs().rip, pc);
}

TEST(KvmGuestDebug, CapabilitiesNameWhatThereIs) {
  KvmVm vm;
  EXPECT_EQ(vm.extension(vm.vmm.kvm, KVM_CAP_SET_GUEST_DEBUG), 1);
  EXPECT_EQ(vm.extension(vm.vmm.kvm, KVM_CAP_SET_GUEST_DEBUG2), 0x1f'0003);
}

// The KVM selftest debug_regs: the same instructions, 32 bits.
TEST(KvmGuestDebug, SingleStepsEndBehindEachInstruction) {
  Guest guest({0x43, 0x0f, 0xa2, 0x90, 0xf4, 0x90, 0xf4});  // inc ebx; cpuid; nop; hlt; nop; hlt
  constexpr std::uint32_t kStep = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
  ASSERT_TRUE(debug(guest, kStep).has_value());
  expect_debug_exit(guest, 1, kCode + 1, kDr6 | 0x4000);
  EXPECT_EQ(guest.page().debug.arch.dr7, 0x400U);
  expect_debug_exit(guest, 1, kCode + 3, kDr6 | 0x4000);
  ASSERT_TRUE(debug(guest, kStep).has_value());
  expect_debug_exit(guest, 1, kCode + 4, kDr6 | 0x4000);
  // kvm_emulate_halt(): its exit takes the step's place.
  EXPECT_EQ(guest.run(), KVM_EXIT_HLT);
  expect_debug_exit(guest, 1, kCode + 6, kDr6 | 0x4000);
  ASSERT_TRUE(debug(guest, 0).has_value());
  EXPECT_EQ(guest.run(), KVM_EXIT_HLT);
  EXPECT_EQ(guest.regs().rip, kCode + 7);
}

// complete_fast_pio_in(), x86_emulate_instruction(): a step behind what KVM carried out itself
// leaves DR7 unwritten; behind a store there is none, and stepping is over with the emulated
// instruction (__kvm_set_rflags()). The oracle program kvm_guest_step has Linux's answers.
TEST(KvmGuestDebug, StepOverAPortOrAnEmulatedAccessComesAfterItsExit) {
  // in al, 0x10; mov [0x8000000], eax; nop; hlt
  Guest guest({0xe4, 0x10, 0xa3, 0, 0, 0, 8, 0x90, 0xf4});
  constexpr std::uint32_t kStep = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
  ASSERT_TRUE(debug(guest, kStep).has_value());
  EXPECT_EQ(guest.run(), KVM_EXIT_IO);
  guest.page().debug.arch.dr7 = 5;
  expect_debug_exit(guest, 1, kCode + 2, kDr6 | 0x4000);
  EXPECT_EQ(guest.page().debug.arch.dr7, 5U);
  EXPECT_EQ(guest.run(), KVM_EXIT_MMIO);
  EXPECT_EQ(guest.regs().rip, kCode + 7);
  EXPECT_EQ(guest.run(), KVM_EXIT_HLT);
}

TEST(KvmGuestDebug, StepBehindAnAccessComesBeforeAnImmediateExit) {
  Guest guest({0xe4, 0x10, 0xa1, 0, 0, 0, 8, 0xf4});  // in al, 0x10; mov eax, [0x8000000]; hlt
  ASSERT_TRUE(debug(guest, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP).has_value());
  EXPECT_EQ(guest.run(), KVM_EXIT_IO);
  guest.page().immediate_exit = 1;
  expect_debug_exit(guest, 1, kCode + 2, kDr6 | 0x4000);
  guest.page().immediate_exit = 0;
  EXPECT_EQ(guest.run(), KVM_EXIT_MMIO);
  guest.page().immediate_exit = 1;
  expect_debug_exit(guest, 1, kCode + 7, kDr6 | 0x4000);
}

TEST(KvmGuestDebug, Int3IsTheOwnersOrAnException) {
  Guest guest({0x90, 0xcc, 0xf4});
  ASSERT_TRUE(debug(guest, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP).has_value());
  guest.page().debug.arch.dr6 = 5;
  expect_debug_exit(guest, 3, kCode + 1);
  EXPECT_EQ(guest.page().debug.arch.dr6, 5U);
  expect_debug_exit(guest, 3, kCode + 1);  // still there
  ASSERT_TRUE(debug(guest, 0).has_value());
  EXPECT_EQ(guest.run(), KVM_EXIT_SHUTDOWN);
}

TEST(KvmGuestDebug, CodeBreakpointsStopBeforeTheirInstructionUntilRflagsRf) {
  Guest guest({0x90, 0x43, 0xf4});
  constexpr std::uint32_t kHardware = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP;
  for (unsigned i = 0; i < 4; ++i) {
    ASSERT_TRUE(debug(guest, kHardware, kCode + 1, 0x400 | 2U << (2 * i), i).has_value());
    expect_debug_exit(guest, 1, kCode + 1, kDr6 | 1U << i);
    EXPECT_EQ(guest.page().debug.arch.dr7, 0x400 | 2U << (2 * i));
  }
  abi::kvm_regs regs = guest.regs();
  regs.rflags |= 1U << 16U;
  ASSERT_TRUE(guest.set(guest.vmm.vcpu, KVM_SET_REGS, regs).has_value());
  EXPECT_EQ(guest.regs().rflags & 1U << 16U, 1U << 16U);
  EXPECT_EQ(guest.run(), KVM_EXIT_HLT);
  EXPECT_EQ(guest.regs().rbx, 1U);
  EXPECT_EQ(guest.regs().rflags & 1U << 16U, 0U);
}

TEST(KvmGuestDebug, WatchpointsStopBehindTheAccess) {
  // mov eax, [0x3000]; mov [0x3002], ax; hlt
  Guest guest({0xa1, 0, 0x30, 0, 0, 0x66, 0xa3, 2, 0x30, 0, 0, 0xf4});
  constexpr std::uint32_t kHardware = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP;
  // Four bytes at kData, writes only (R/W0 = 1, LEN0 = 3); and one byte, reads too.
  abi::kvm_guest_debug arg{};
  arg.control = kHardware;
  arg.arch.debugreg[0] = kData;
  arg.arch.debugreg[1] = kData + 3;
  arg.arch.debugreg[7] = 0x400 | 1U | 4U | 0xdU << 16U | 3U << 20U;
  ASSERT_TRUE(guest.set(guest.vmm.vcpu, KVM_SET_GUEST_DEBUG, arg).has_value());
  expect_debug_exit(guest, 1, kCode + 5, kDr6 | 2);
  expect_debug_exit(guest, 1, kCode + 11, kDr6 | 3);
  EXPECT_EQ(guest.run(), KVM_EXIT_HLT);
}

TEST(KvmGuestDebug, GeneralDetectStopsBeforeADebugRegisterIsMoved) {
  Guest guest({0x90, 0x0f, 0x21, 0xc0, 0xf4});  // nop; mov eax, dr0; hlt
  ASSERT_TRUE(debug(guest, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP, 0, 0x2400).has_value());
  expect_debug_exit(guest, 1, kCode + 1, kDr6 | 0x2000);
}

TEST(KvmGuestDebug, AnExceptionIsInjectedOnceAndBlockedInterruptsWait) {
  Guest guest({0x90, 0xf4});
  ASSERT_TRUE(guest.vmm.ioctl(guest.vmm.vcpu, KVM_NMI, std::uint64_t{0}).has_value());
  ASSERT_TRUE(debug(guest, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_BLOCKIRQ).has_value());
  EXPECT_EQ(guest.run(), KVM_EXIT_HLT);
  ASSERT_TRUE(debug(guest, KVM_GUESTDBG_INJECT_DB).has_value());
  EXPECT_EQ(error_of(debug(guest, KVM_GUESTDBG_INJECT_BP)), Errno::kBusy);
  EXPECT_EQ(guest.run(), KVM_EXIT_INTERNAL_ERROR);
  EXPECT_EQ(guest.page().internal.suberror,
            static_cast<std::uint32_t>(KVM_INTERNAL_ERROR_DELIVERY_EV));
}

TEST(KvmGuestDebug, ATdIsNotDebugged) {
  const auto machine = make_machine();
  Vmm td(*machine);
  ASSERT_TRUE(td.make_vm().has_value());
  ASSERT_TRUE(td.make_vcpu().has_value());
  abi::kvm_guest_debug arg{};
  arg.control = KVM_GUESTDBG_ENABLE;
  EXPECT_EQ(error_of(td.ioctl(td.vcpu, KVM_SET_GUEST_DEBUG, arg)), Errno::kInval);
}

// complete_fast_pio_out() and complete_fast_pio_in(): the instruction ends when KVM_RUN comes back.
TEST(KvmGuest, PortAccessIsAtItsInstructionUntilItIsRunAgain) {
  Guest guest({0xe6, 0x10, 0xe4, 0x10, 0xf4});  // out 0x10, al; in al, 0x10; hlt
  EXPECT_EQ(guest.run(), KVM_EXIT_IO);
  EXPECT_EQ(guest.regs().rip, kCode);
  EXPECT_EQ(guest.run(), KVM_EXIT_IO);
  EXPECT_EQ(guest.regs().rip, kCode + 2);
  auto* const data = guest.vmm.mapped(guest.vmm.vcpu).touch(kPortDataOffset)->data();
  *data = std::byte{0x5a};
  guest.page().immediate_exit = 1;
  EXPECT_EQ(error_of(guest.vmm.ioctl(guest.vmm.vcpu, KVM_RUN, std::uint64_t{0})), Errno::kIntr);
  EXPECT_EQ(guest.regs().rip, kCode + 4);
  EXPECT_EQ(guest.regs().rax, 0x5aU);
}

TEST(KvmGuest, PortAccessThatTheOwnerMovedAwayFromIsDropped) {
  Guest guest({0xe4, 0x10, 0x90, 0xf4});  // in al, 0x10; nop; hlt
  EXPECT_EQ(guest.run(), KVM_EXIT_IO);
  abi::kvm_regs regs = guest.regs();
  regs.rip = kCode + 3;
  regs.rax = 7;
  ASSERT_TRUE(guest.set(guest.vmm.vcpu, KVM_SET_REGS, regs).has_value());
  EXPECT_EQ(guest.run(), KVM_EXIT_HLT);
  EXPECT_EQ(guest.regs().rax, 7U);
  EXPECT_EQ(guest.regs().rip, kCode + 4);
}

// KVM_X86_QUIRK_OUT_7E_INC_RIP
TEST(KvmGuest, OutToPort7eIsOverAtItsExitUnlessTheQuirkIsOff) {
  Guest quirky({0xe6, 0x7e, 0xf4});
  EXPECT_EQ(quirky.run(), KVM_EXIT_IO);
  EXPECT_EQ(quirky.regs().rip, kCode + 2);
  EXPECT_EQ(quirky.run(), KVM_EXIT_HLT);
  Guest plain({0xe6, 0x7e, 0xf4});
  ASSERT_TRUE(plain.enable(KVM_CAP_DISABLE_QUIRKS2, 8).has_value());
  EXPECT_EQ(plain.run(), KVM_EXIT_IO);
  EXPECT_EQ(plain.regs().rip, kCode);
}

// complete_emulated_mmio(): a VMM that saves a guest completes what is pending so.
TEST(KvmGuest, EmulatedAccessEndsBeforeAnImmediateExit) {
  Guest guest({0xa1, 0, 0, 0, 8, 0x43, 0xf4});  // mov eax, [0x8000000]; inc ebx; hlt
  EXPECT_EQ(guest.run(), KVM_EXIT_MMIO);
  EXPECT_EQ(guest.regs().rip, kCode);
  guest.page().mmio.data[0] = 0x33;
  guest.page().immediate_exit = 1;
  EXPECT_EQ(error_of(guest.vmm.ioctl(guest.vmm.vcpu, KVM_RUN, std::uint64_t{0})), Errno::kIntr);
  EXPECT_EQ(guest.regs().rip, kCode + 5);
  EXPECT_EQ(guest.regs().rax, 0x33U);
  EXPECT_EQ(guest.regs().rbx, 0U);
}

// kvm_arch_vcpu_ioctl_run(): what comes before the guest.
TEST(KvmGuest, ReservedBitsOfCr8AreRefusedWithoutALocalApic) {
  Guest guest({0xf4});
  guest.page().cr8 = 0x10;
  EXPECT_EQ(error_of(guest.vmm.ioctl(guest.vmm.vcpu, KVM_RUN, std::uint64_t{0})), Errno::kInval);
  EXPECT_EQ(guest.page().cr8, 0U);  // post_kvm_run_save()
  guest.page().cr8 = 7;
  EXPECT_EQ(guest.run(), KVM_EXIT_HLT);
  EXPECT_EQ(guest.page().cr8, 7U);
}

// __set_regs()
TEST(KvmGuest, NewRegistersDropAPendingExceptionAndKeepAnInjectedOne) {
  Guest guest({0xf4});
  ASSERT_TRUE(debug(guest, KVM_GUESTDBG_INJECT_BP).has_value());
  ASSERT_TRUE(guest.set(guest.vmm.vcpu, KVM_SET_REGS, guest.regs()).has_value());
  EXPECT_EQ(guest.run(), KVM_EXIT_HLT);
  auto events = guest.get<abi::kvm_vcpu_events>(guest.vmm.vcpu, KVM_GET_VCPU_EVENTS);
  events.exception.injected = 1;
  events.exception.nr = 13;
  ASSERT_TRUE(guest.set(guest.vmm.vcpu, KVM_SET_VCPU_EVENTS, events).has_value());
  ASSERT_TRUE(guest.set(guest.vmm.vcpu, KVM_SET_REGS, guest.regs()).has_value());
  EXPECT_EQ(guest.run(), KVM_EXIT_INTERNAL_ERROR);
}

TEST(KvmGuest, VcpuBeforeItsInitRunsNothing) {
  KvmVm vm(Irqchip::kSplit);
  vm.add_vcpu();
  const auto second = vm.vmm.ioctl(vm.vmm.vm, KVM_CREATE_VCPU, std::uint64_t{1});
  ASSERT_TRUE(second.has_value());
  const int fd = static_cast<int>(*second);
  ASSERT_TRUE(vm.vmm.make_mappable(fd).has_value());
  auto lapic = vm.get<abi::kvm_lapic_state>(fd, KVM_GET_LAPIC);
  lapic.regs[0xf1] = 1;
  ASSERT_TRUE(vm.set(fd, KVM_SET_LAPIC, lapic).has_value());
  abi::kvm_msi init{};
  init.address_lo = 0xfee0'1000;  // to APIC 1
  init.data = 5U << 8U;           // INIT
  ASSERT_TRUE(vm.set(vm.vmm.vm, KVM_SIGNAL_MSI, init).has_value());
  EXPECT_EQ(error_of(vm.vmm.ioctl(fd, KVM_RUN, std::uint64_t{0})), Errno::kAgain);
  EXPECT_EQ(vm.get<abi::kvm_mp_state>(fd, KVM_GET_MP_STATE).mp_state, 2U);  // INIT_RECEIVED
}

// KVM_SREGS2_FLAGS_PDPTRS_VALID: what a guest's walk starts from.
TEST(KvmGuest, WalksStartFromThePdptrsThatWereSet) {
  Guest guest({0xa1, 0, 0x30, 0, 0, 0xf4});  // mov eax, [0x3000]; hlt
  ASSERT_TRUE(guest.set_cpuid(guest.supported()).has_value());
  const std::uint64_t directory = 0x8b;  // 2 MiB at 0, present, writable
  ASSERT_TRUE(guest.vmm.memory()
                  .write(guest.slot.userspace_addr + 0x5000, bytes_of(directory))
                  .has_value());
  const std::uint32_t value = 0x1234;
  ASSERT_TRUE(
      guest.vmm.memory().write(guest.slot.userspace_addr + kData, bytes_of(value)).has_value());
  auto sregs = guest.get<abi::kvm_sregs2>(guest.vmm.vcpu, KVM_GET_SREGS2);
  sregs.cr0 |= 0x8000'0000;
  sregs.cr4 |= 0x20;
  sregs.cr3 = 0x6000;  // zeros
  sregs.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
  sregs.pdptrs[0] = 0x5001;
  ASSERT_TRUE(guest.set(guest.vmm.vcpu, KVM_SET_SREGS2, sregs).has_value());
  abi::kvm_translation where{};
  where.linear_address = 0x3004;
  EXPECT_EQ(guest.get(guest.vmm.vcpu, KVM_TRANSLATE, where).physical_address, 0x3004U);
  EXPECT_EQ(guest.run(), KVM_EXIT_HLT);
  EXPECT_EQ(guest.regs().rax, 0x1234U);
}

TEST(KvmGuest, ApicBaseIsOneRegisterToGuestAndOwner) {
  // mov ecx, 0x1b; rdmsr; mov ebx, eax; or eax, 0x400 (x2APIC); wrmsr; out 0x10, al
  Guest guest(
      {0xb9, 0x1b, 0, 0, 0, 0x0f, 0x32, 0x89, 0xc3, 0x0d, 0, 4, 0, 0, 0x0f, 0x30, 0xe6, 0x10},
      Irqchip::kSplit);
  ASSERT_TRUE(guest.set_cpuid(guest.supported()).has_value());
  EXPECT_EQ(guest.run(), KVM_EXIT_IO);
  EXPECT_EQ(guest.regs().rbx, 0xfee0'0900U);  // enabled, the boot processor's
  EXPECT_EQ(guest.msr(0x1b), 0xfee0'0d00U);
}

// kvm_scan_ioapic_routes(), kvm_ioapic_send_eoi(), vcpu_enter_guest()
TEST(KvmGuest, EoiOfALevelRouteIsTheOwnersIoApics) {
  Guest guest({0xe6, 0x10, 0xe6, 0x11, 0xe6, 0x12, 0xf4}, Irqchip::kSplit);  // three OUTs
  struct {
    struct {
      std::uint32_t nr = 1, flags = 0;
    } header;
    abi::kvm_irq_routing_entry entry{};
  } routes;
  routes.entry.gsi = 5;
  routes.entry.type = KVM_IRQ_ROUTING_MSI;
  routes.entry.u.msi.address_lo = 0xfee0'0000;
  routes.entry.u.msi.data = 0x8041;  // level, vector 0x41
  ASSERT_TRUE(guest.set(guest.vmm.vm, KVM_SET_GSI_ROUTING, routes).has_value());
  ASSERT_TRUE(guest.set_cpuid(guest.supported()).has_value());
  ASSERT_TRUE(guest.set_msr(0x1b, 0xfee0'0d00));  // x2APIC
  const auto end_of = [&](std::size_t vector) {
    auto lapic = guest.get<abi::kvm_lapic_state>(guest.vmm.vcpu, KVM_GET_LAPIC);
    lapic.regs[0xf1] = 1;
    lapic.regs[0x100 + 0x10 * (vector / 32) + vector % 32 / 8] = static_cast<char>(1 << vector % 8);
    ASSERT_TRUE(guest.set(guest.vmm.vcpu, KVM_SET_LAPIC, lapic).has_value());
    ASSERT_TRUE(guest.set_msr(0x80b, 0));
  };
  end_of(0x41);  // not before the vCPU has run with the routes
  EXPECT_EQ(guest.run(), KVM_EXIT_IO);
  end_of(0x41);
  EXPECT_EQ(guest.run(), KVM_EXIT_IOAPIC_EOI);
  EXPECT_EQ(guest.page().eoi.vector, 0x41);
  EXPECT_EQ(guest.run(), KVM_EXIT_IO);
  end_of(0x42);  // of no route
  EXPECT_EQ(guest.run(), KVM_EXIT_IO);
}

}  // namespace
}  // namespace teeio::entry
