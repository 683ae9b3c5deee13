// What a VMM sets up, saves and restores of an ordinary VM: refusals first.

#include <algorithm>

#include "unit/entry/kvm_vm.h"

namespace teeio::entry {
namespace {

// --- CPUID ---

TEST(KvmCpuid, ListWithoutRoomIsE2bigAndKeepsItsCount) {
  KvmVm vm;
  KvmVm::CpuidList list;
  list.header.nent = 3;
  EXPECT_EQ(error_of(vm.vmm.ioctl(vm.vmm.kvm, KVM_GET_SUPPORTED_CPUID, list)), Errno::kTooBig);
  EXPECT_EQ(list.header.nent, 3U);
}

TEST(KvmCpuid, EmulatedListWantsZeroPadding) {
  KvmVm vm;
  KvmVm::CpuidList list;
  list.header.nent = 40;
  list.entries[7].padding[1] = 1;
  EXPECT_EQ(error_of(vm.vmm.ioctl(vm.vmm.kvm, KVM_GET_EMULATED_CPUID, list)), Errno::kInval);
}

TEST(KvmCpuid, WhatIsSupportedCanBeSetAndIsReadBack) {
  KvmVm vm;
  vm.add_vcpu();
  const KvmVm::CpuidList list = vm.supported();
  ASSERT_TRUE(vm.set_cpuid(list).has_value());
  KvmVm::CpuidList back;
  back.header.nent = list.header.nent - 1;
  EXPECT_EQ(error_of(vm.vmm.ioctl(vm.vmm.vcpu, KVM_GET_CPUID2, back)), Errno::kTooBig);
  back.header.nent = std::size(back.entries);
  ASSERT_TRUE(vm.vmm.ioctl(vm.vmm.vcpu, KVM_GET_CPUID2, back).has_value());
  EXPECT_EQ(back.header.nent, list.header.nent);
  EXPECT_EQ(back.entries[0].ebx, list.entries[0].ebx);
}

TEST(KvmCpuid, NoProcessorHas40BitLinearAddresses) {
  KvmVm vm;
  vm.add_vcpu();
  KvmVm::CpuidList list = vm.supported();
  for (abi::kvm_cpuid_entry2& entry : list.entries)
    if (entry.function == 0x8000'0008) entry.eax = 52 | 40U << 8U;
  EXPECT_EQ(error_of(vm.set_cpuid(list)), Errno::kInval);
  list.header.nent = 257;
  EXPECT_EQ(error_of(vm.set_cpuid(list)), Errno::kTooBig);
}

// --- Special registers against CPUID ---

TEST(KvmSregs, EferNeedsWhatCpuidAllows) {
  KvmVm vm;
  vm.add_vcpu();
  auto sregs = vm.get<abi::kvm_sregs>(vm.vmm.vcpu, KVM_GET_SREGS);
  sregs.efer = 0x800;  // NX
  EXPECT_EQ(error_of(vm.set(vm.vmm.vcpu, KVM_SET_SREGS, sregs)), Errno::kInval);
  sregs.efer = 0x100;  // LME
  EXPECT_EQ(error_of(vm.set(vm.vmm.vcpu, KVM_SET_SREGS, sregs)), Errno::kInval);
  ASSERT_TRUE(vm.set_cpuid(vm.supported()).has_value());
  sregs.efer = 0x901;
  EXPECT_TRUE(vm.set(vm.vmm.vcpu, KVM_SET_SREGS, sregs).has_value());
  EXPECT_EQ(vm.get<abi::kvm_sregs>(vm.vmm.vcpu, KVM_GET_SREGS).efer, 0x901U);
}

TEST(KvmSregs, Cr4NeedsWhatCpuidAllowsAndARefusalChangesNothing) {
  KvmVm vm;
  vm.add_vcpu();
  auto sregs = vm.get<abi::kvm_sregs>(vm.vmm.vcpu, KVM_GET_SREGS);
  sregs.cr2 = 0x1234;
  sregs.cr4 |= 1U << 18U;  // OSXSAVE
  EXPECT_EQ(error_of(vm.set(vm.vmm.vcpu, KVM_SET_SREGS, sregs)), Errno::kInval);
  EXPECT_EQ(vm.get<abi::kvm_sregs>(vm.vmm.vcpu, KVM_GET_SREGS).cr2, 0U);
  ASSERT_TRUE(vm.set_cpuid(vm.supported()).has_value());
  EXPECT_TRUE(vm.set(vm.vmm.vcpu, KVM_SET_SREGS, sregs).has_value());
}

TEST(KvmSregs, ApicBaseWithX2apicButDisabledIsRefused) {
  KvmVm vm;
  vm.add_vcpu();
  ASSERT_TRUE(vm.set_cpuid(vm.supported()).has_value());
  auto sregs = vm.get<abi::kvm_sregs>(vm.vmm.vcpu, KVM_GET_SREGS);
  EXPECT_EQ(sregs.apic_base, 0xfee0'0900U);
  sregs.apic_base = 0xfee0'0400;
  EXPECT_EQ(error_of(vm.set(vm.vmm.vcpu, KVM_SET_SREGS, sregs)), Errno::kInval);
  EXPECT_FALSE(vm.set_msr(0x1b, 0xfee0'0400));
  EXPECT_TRUE(vm.set_msr(0x1b, 0xfee0'0d00));
  EXPECT_EQ(vm.msr(0x1b), 0xfee0'0d00U);
}

TEST(KvmSregs, PdptrsOnlyCountInPaePaging) {
  KvmVm vm;
  vm.add_vcpu();
  auto sregs = vm.get<abi::kvm_sregs2>(vm.vmm.vcpu, KVM_GET_SREGS2);
  sregs.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
  EXPECT_EQ(error_of(vm.set(vm.vmm.vcpu, KVM_SET_SREGS2, sregs)), Errno::kInval);
  sregs.flags = 2;
  EXPECT_EQ(error_of(vm.set(vm.vmm.vcpu, KVM_SET_SREGS2, sregs)), Errno::kInval);
  sregs.flags = 0;
  EXPECT_TRUE(vm.set(vm.vmm.vcpu, KVM_SET_SREGS2, sregs).has_value());
}

TEST(KvmSregs, PdptrsAreTheVcpusOwnAndLoadedWithCr3) {
  KvmVm vm;
  abi::kvm_userspace_memory_region slot{};
  slot.memory_size = 4 * kPageSize;
  slot.userspace_addr = vm.vmm.memory().map(slot.memory_size);
  ASSERT_TRUE(vm.vmm.ioctl(vm.vmm.vm, KVM_SET_USER_MEMORY_REGION, slot).has_value());
  vm.add_vcpu();
  ASSERT_TRUE(vm.set_cpuid(vm.supported()).has_value());
  std::uint64_t entries[4] = {0x2001, 0x3001, 0, 0x6};  // the last one is not present
  const auto write = [&] {
    ASSERT_TRUE(vm.vmm.memory().write(slot.userspace_addr + 0x1020, bytes_of(entries)).has_value());
  };
  write();
  auto sregs = vm.get<abi::kvm_sregs2>(vm.vmm.vcpu, KVM_GET_SREGS2);
  EXPECT_EQ(sregs.flags, 0U);
  sregs.cr0 |= 0x8000'0001;
  sregs.cr4 |= 0x20;
  sregs.cr3 = 0x1020;
  ASSERT_TRUE(vm.set(vm.vmm.vcpu, KVM_SET_SREGS2, sregs).has_value());
  const auto now = [&] { return vm.get<abi::kvm_sregs2>(vm.vmm.vcpu, KVM_GET_SREGS2); };
  EXPECT_EQ(now().flags, 1U);
  EXPECT_TRUE(std::ranges::equal(now().pdptrs, entries));
  // Memory that changes is not looked at before CR3 is loaded again.
  entries[0] = 0x3001;
  write();
  EXPECT_EQ(now().pdptrs[0], 0x2001U);
  ASSERT_TRUE(vm.set_msr(0xc000'0100, 0x1000));  // FS.base: the other registers stay
  EXPECT_EQ(now().pdptrs[0], 0x2001U);
  // load_pdptrs(): one with a reserved bit is not loaded, and none of the others.
  entries[1] = 0x2003;
  write();
  auto plain = vm.get<abi::kvm_sregs>(vm.vmm.vcpu, KVM_GET_SREGS);
  ASSERT_TRUE(vm.set(vm.vmm.vcpu, KVM_SET_SREGS, plain).has_value());
  EXPECT_EQ(now().pdptrs[0], 0x2001U);
  entries[1] = 0;
  write();
  ASSERT_TRUE(vm.set(vm.vmm.vcpu, KVM_SET_SREGS, plain).has_value());
  EXPECT_EQ(now().pdptrs[0], 0x3001U);
  // And a program's own are taken as they are.
  sregs = now();
  sregs.pdptrs[2] = 0x77;
  ASSERT_TRUE(vm.set(vm.vmm.vcpu, KVM_SET_SREGS2, sregs).has_value());
  EXPECT_EQ(now().pdptrs[2], 0x77U);
}

// --- MSRs ---

TEST(KvmMsrs, ListTellsHowManyThereAre) {
  KvmVm vm;
  struct {
    struct {
      std::uint32_t nmsrs = 0;
    } header;
    std::uint32_t indices[64] = {};
  } list;
  EXPECT_EQ(error_of(vm.vmm.ioctl(vm.vmm.kvm, KVM_GET_MSR_INDEX_LIST, list)), Errno::kTooBig);
  EXPECT_GT(list.header.nmsrs, 20U);
  ASSERT_TRUE(vm.vmm.ioctl(vm.vmm.kvm, KVM_GET_MSR_INDEX_LIST, list).has_value());
  EXPECT_EQ(list.indices[0], 0x174U);
}

TEST(KvmMsrs, CallStopsAtTheFirstThatIsRefused) {
  KvmVm vm;
  vm.add_vcpu();
  struct {
    struct {
      std::uint32_t nmsrs = 3, pad = 0;
    } header;
    abi::kvm_msr_entry entries[3] = {{0x174, 0, 8}, {0x277, 0, 2}, {0x175, 0, 9}};
  } list;  // PAT has no memory type 2
  EXPECT_EQ(vm.vmm.ioctl(vm.vmm.vcpu, KVM_SET_MSRS, list), 1);
  EXPECT_EQ(vm.msr(0x174), 8U);
  EXPECT_EQ(vm.msr(0x175), 0U);
  EXPECT_EQ(vm.msr(0x277), 0x0007'0406'0007'0406U);
  list.header.nmsrs = 256;
  EXPECT_EQ(error_of(vm.vmm.ioctl(vm.vmm.vcpu, KVM_SET_MSRS, list)), Errno::kTooBig);
}

TEST(KvmMsrs, EachIsCheckedAsTheProcessorChecksIt) {
  KvmVm vm;
  vm.add_vcpu();
  ASSERT_TRUE(vm.set_cpuid(vm.supported()).has_value());
  EXPECT_FALSE(vm.set_msr(0xc000'0082, 1ULL << 50U));  // LSTAR is canonical
  EXPECT_FALSE(vm.set_msr(0x2ff, 7));                  // no such memory type
  EXPECT_TRUE(vm.set_msr(0x2ff, 0xc06));
  EXPECT_FALSE(vm.set_msr(0x201, 1ULL << 60U));        // beyond the physical addresses
  EXPECT_FALSE(vm.set_msr(0xc000'0080, 1ULL << 12U));  // EFER.SVME
  EXPECT_TRUE(vm.set_msr(0xc000'0080, 0x801));
  EXPECT_EQ(vm.msr(0xc000'0080), 0x801U);
  EXPECT_FALSE(vm.set_msr(0xc000'0100, 1ULL << 50U));
  EXPECT_TRUE(vm.set_msr(0xc000'0100, 0x1000));  // FS base: the engine's
  EXPECT_EQ(vm.get<abi::kvm_sregs>(vm.vmm.vcpu, KVM_GET_SREGS).fs.base, 0x1000U);
  EXPECT_EQ(vm.msr(0x1234), std::nullopt);
  EXPECT_FALSE(vm.set_msr(0x1234, 0));
}

TEST(KvmMsrs, AdvertisedOneThatTheGuestLacksReadsZeroAndTakesZero) {
  KvmVm vm;
  vm.add_vcpu();  // without CPUID no ARCH_CAPABILITIES
  EXPECT_EQ(vm.msr(0x10a), 0U);
  EXPECT_TRUE(vm.set_msr(0x10a, 0));
  EXPECT_FALSE(vm.set_msr(0x10a, 1));
  ASSERT_TRUE(vm.set_cpuid(vm.supported()).has_value());
  EXPECT_NE(vm.msr(0x10a), 0U);
}

TEST(KvmMsrs, FeatureMsrsAreTheHosts) {
  KvmVm vm;
  KvmVm::Msr list{.header = {.nmsrs = 1, .pad = 0}, .entry = {0xce, 0, 0}};
  EXPECT_EQ(vm.vmm.ioctl(vm.vmm.kvm, KVM_GET_MSRS, list), 1);
  EXPECT_EQ(list.entry.data, 1ULL << 31U);
  list.entry.index = 0x10;
  EXPECT_EQ(vm.vmm.ioctl(vm.vmm.kvm, KVM_GET_MSRS, list), 0);
}

// --- Machine checks ---

TEST(KvmMce, BanksAndCapabilitiesAreChecked) {
  KvmVm vm;
  vm.add_vcpu();
  const auto setup = [&](std::uint64_t cap) {
    struct Cap {
      std::uint64_t value;
    };
    return vm.set(vm.vmm.vcpu, KVM_X86_SETUP_MCE, Cap{cap});
  };
  EXPECT_EQ(error_of(setup(0)), Errno::kInval);
  EXPECT_EQ(error_of(setup(33)), Errno::kInval);
  EXPECT_EQ(error_of(setup(1ULL << 26U | 10)), Errno::kInval);
  ASSERT_TRUE(setup(1ULL << 24U | 1U << 8U | 10).has_value());
  EXPECT_EQ(vm.msr(0x179), 1ULL << 24U | 1U << 8U | 10);
  EXPECT_EQ(vm.msr(0x400), ~0ULL);
  EXPECT_EQ(vm.msr(0x428), std::nullopt);  // bank 10
  abi::kvm_x86_mce check{};
  check.bank = 3;
  EXPECT_EQ(error_of(vm.set(vm.vmm.vcpu, KVM_X86_SET_MCE, check)), Errno::kInval);  // not valid
  check.status = 1ULL << 63U;
  check.addr = 0x77;
  EXPECT_TRUE(vm.set(vm.vmm.vcpu, KVM_X86_SET_MCE, check).has_value());
  EXPECT_EQ(vm.msr(0x400 + 4 * 3 + 2), 0x77U);
}

// kvm_vcpu_ioctl_x86_set_mce(): an uncorrected error that the guest cannot take.
TEST(KvmMce, UncorrectedErrorWithoutCr4MceIsATripleFault) {
  KvmVm vm;
  vm.add_vcpu();
  ASSERT_TRUE(vm.enable(KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1).has_value());
  struct Cap {
    std::uint64_t value;
  };
  ASSERT_TRUE(vm.set(vm.vmm.vcpu, KVM_X86_SETUP_MCE, Cap{1U << 8U | 10}).has_value());
  abi::kvm_x86_mce check{};
  check.bank = 3;
  check.mcg_status = 4;                                    // in progress: somebody has to act
  ASSERT_TRUE(vm.set_msr(0x17b, ~0ULL));                   // IA32_MCG_CTL: all is reported
  check.status = 1ULL << 63U | 1ULL << 61U | 1ULL << 60U;  // valid, uncorrected, enabled
  ASSERT_TRUE(vm.set(vm.vmm.vcpu, KVM_X86_SET_MCE, check).has_value());
  const auto events = vm.get<abi::kvm_vcpu_events>(vm.vmm.vcpu, KVM_GET_VCPU_EVENTS);
  EXPECT_EQ(events.triple_fault.pending, 1);
}

TEST(KvmMce, RegistersOfTheLastBankAndOfNoBank) {
  KvmVm vm;
  vm.add_vcpu();
  struct Cap {
    std::uint64_t value;
  };
  ASSERT_TRUE(vm.set(vm.vmm.vcpu, KVM_X86_SETUP_MCE, Cap{1U << 8U | 10}).has_value());
  EXPECT_EQ(vm.msr(0x3ff), std::nullopt) << "one before the first bank";
  EXPECT_EQ(vm.msr(0x400 + 4 * 9 + 3), 0U) << "the last bank's last register";
  EXPECT_EQ(vm.msr(0x400 + 4 * 10), std::nullopt);
}

TEST(KvmMpState, OnlyTheBootCpuRunsByItself) {
  KvmVm vm(Irqchip::kKernel);
  vm.add_vcpu();
  const auto second = vm.vmm.ioctl(vm.vmm.vm, KVM_CREATE_VCPU, std::uint64_t{1});
  ASSERT_TRUE(second.has_value());
  constexpr std::uint64_t kBsp = 1U << 8U;
  EXPECT_EQ(vm.get<abi::kvm_mp_state>(vm.vmm.vcpu, KVM_GET_MP_STATE).mp_state, 0U) << "runnable";
  EXPECT_EQ(vm.get<abi::kvm_sregs>(vm.vmm.vcpu, KVM_GET_SREGS).apic_base & kBsp, kBsp);
  const int other = static_cast<int>(*second);
  EXPECT_EQ(vm.get<abi::kvm_mp_state>(other, KVM_GET_MP_STATE).mp_state, 1U) << "uninitialized";
  EXPECT_EQ(vm.get<abi::kvm_sregs>(other, KVM_GET_SREGS).apic_base & kBsp, 0U);
}

// KVM_X86_DEFAULT_VM, KVM_X86_SW_PROTECTED_VM, and the firmware's; Arm's are no bits.
TEST(KvmVmTypes, AreTheDefaultOneAndTheFirmwares) {
  const std::pair<std::string_view, std::int64_t> machines[] = {
      {"tdx-connect", 3 | 1 << 5}, {"amd-sev", 3 | 1 << 4}, {"arm-cca-slice", 3}};
  for (const auto& [name, types] : machines) {
    const auto machine = make_machine(name);
    Vmm vmm(*machine);
    const int kvm = *vmm.open("/dev/kvm");
    EXPECT_EQ(vmm.ioctl(kvm, KVM_CHECK_EXTENSION, std::uint64_t{235}).value_or(-1), types) << name;
  }
}

// --- Events and other state ---

TEST(KvmEvents, ExceptionsAreCheckedAndKept) {
  KvmVm vm;
  vm.add_vcpu();
  auto events = vm.get<abi::kvm_vcpu_events>(vm.vmm.vcpu, KVM_GET_VCPU_EVENTS);
  EXPECT_EQ(events.flags, 0x0dU);
  events.exception.injected = 1;
  events.exception.nr = 32;
  EXPECT_EQ(error_of(vm.set(vm.vmm.vcpu, KVM_SET_VCPU_EVENTS, events)), Errno::kInval);
  events.exception.nr = 2;
  EXPECT_EQ(error_of(vm.set(vm.vmm.vcpu, KVM_SET_VCPU_EVENTS, events)), Errno::kInval);
  events.exception.nr = 13;
  events.exception.has_error_code = 1;
  EXPECT_TRUE(vm.set(vm.vmm.vcpu, KVM_SET_VCPU_EVENTS, events).has_value());
  events = vm.get<abi::kvm_vcpu_events>(vm.vmm.vcpu, KVM_GET_VCPU_EVENTS);
  EXPECT_EQ(events.exception.injected, 1);
  EXPECT_EQ(events.exception.nr, 13);
  events.flags = 0x40;
  EXPECT_EQ(error_of(vm.set(vm.vmm.vcpu, KVM_SET_VCPU_EVENTS, events)), Errno::kInval);
}

TEST(KvmEvents, PayloadAndTripleFaultNeedTheirCapability) {
  KvmVm vm;
  vm.add_vcpu();
  abi::kvm_vcpu_events events{};
  events.flags = KVM_VCPUEVENT_VALID_PAYLOAD;
  EXPECT_EQ(error_of(vm.set(vm.vmm.vcpu, KVM_SET_VCPU_EVENTS, events)), Errno::kInval);
  events.flags = KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
  EXPECT_EQ(error_of(vm.set(vm.vmm.vcpu, KVM_SET_VCPU_EVENTS, events)), Errno::kInval);
  ASSERT_TRUE(vm.enable(KVM_CAP_EXCEPTION_PAYLOAD, 1).has_value());
  ASSERT_TRUE(vm.enable(KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1).has_value());
  events.triple_fault.pending = 1;
  EXPECT_TRUE(vm.set(vm.vmm.vcpu, KVM_SET_VCPU_EVENTS, events).has_value());
  events = vm.get<abi::kvm_vcpu_events>(vm.vmm.vcpu, KVM_GET_VCPU_EVENTS);
  EXPECT_EQ(events.flags, 0x3dU);
  EXPECT_EQ(events.triple_fault.pending, 1);
}

TEST(KvmEvents, NmisAreCountedUpToTwo) {
  KvmVm vm;
  vm.add_vcpu();
  for (int i = 0; i < 3; ++i)
    ASSERT_TRUE(vm.vmm.ioctl(vm.vmm.vcpu, KVM_NMI, std::uint64_t{0}).has_value());
  EXPECT_EQ(vm.get<abi::kvm_vcpu_events>(vm.vmm.vcpu, KVM_GET_VCPU_EVENTS).nmi.pending, 2);
}

TEST(KvmInterrupt, WhoMayInjectDependsOnTheIrqchip) {
  KvmVm none;
  none.add_vcpu();
  abi::kvm_interrupt irq{.irq = 256};
  EXPECT_EQ(error_of(none.set(none.vmm.vcpu, KVM_INTERRUPT, irq)), Errno::kInval);
  irq.irq = 0x31;
  ASSERT_TRUE(none.set(none.vmm.vcpu, KVM_INTERRUPT, irq).has_value());
  EXPECT_EQ(none.get<abi::kvm_sregs>(none.vmm.vcpu, KVM_GET_SREGS).interrupt_bitmap[0],
            1ULL << 0x31);
  KvmVm kernel(Irqchip::kKernel);
  kernel.add_vcpu();
  EXPECT_EQ(error_of(kernel.set(kernel.vmm.vcpu, KVM_INTERRUPT, irq)), Errno::kNxio);
  KvmVm split(Irqchip::kSplit);
  split.add_vcpu();
  EXPECT_TRUE(split.set(split.vmm.vcpu, KVM_INTERRUPT, irq).has_value());
  EXPECT_EQ(error_of(split.set(split.vmm.vcpu, KVM_INTERRUPT, irq)), Errno::kExist);
}

TEST(KvmMpState, HaltedNeedsALocalApicOfKvms) {
  KvmVm none;
  none.add_vcpu();
  const abi::kvm_mp_state halted{.mp_state = KVM_MP_STATE_HALTED};
  EXPECT_EQ(error_of(none.set(none.vmm.vcpu, KVM_SET_MP_STATE, halted)), Errno::kInval);
  KvmVm split(Irqchip::kSplit);
  split.add_vcpu();
  EXPECT_EQ(error_of(split.set(split.vmm.vcpu, KVM_SET_MP_STATE, abi::kvm_mp_state{7})),
            Errno::kInval);
  EXPECT_TRUE(split.set(split.vmm.vcpu, KVM_SET_MP_STATE, halted).has_value());
  EXPECT_EQ(split.get<abi::kvm_mp_state>(split.vmm.vcpu, KVM_GET_MP_STATE).mp_state,
            static_cast<unsigned>(KVM_MP_STATE_HALTED));
}

TEST(KvmDebugRegisters, UpperHalvesAndFlagsAreRefused) {
  KvmVm vm;
  vm.add_vcpu();
  auto registers = vm.get<abi::kvm_debugregs>(vm.vmm.vcpu, KVM_GET_DEBUGREGS);
  EXPECT_EQ(registers.dr7, 0x400U);
  registers.dr7 = 1ULL << 32U;
  EXPECT_EQ(error_of(vm.set(vm.vmm.vcpu, KVM_SET_DEBUGREGS, registers)), Errno::kInval);
  registers.dr7 = 0x400;
  registers.flags = 1;
  EXPECT_EQ(error_of(vm.set(vm.vmm.vcpu, KVM_SET_DEBUGREGS, registers)), Errno::kInval);
  registers.flags = 0;
  registers.db[2] = 0x5000;
  EXPECT_TRUE(vm.set(vm.vmm.vcpu, KVM_SET_DEBUGREGS, registers).has_value());
  EXPECT_EQ(vm.get<abi::kvm_debugregs>(vm.vmm.vcpu, KVM_GET_DEBUGREGS).db[2], 0x5000U);
}

TEST(KvmXsave, ComponentsAndReservedBytesAreChecked) {
  KvmVm vm;
  vm.add_vcpu();
  auto area = vm.get<abi::kvm_xsave>(vm.vmm.vcpu, KVM_GET_XSAVE);
  EXPECT_EQ(area.region[0] & 0xffffU, 0x37fU);
  EXPECT_EQ(area.region[6], 0x1f80U);
  area.region[128] = 4;  // XSTATE_BV: AVX
  EXPECT_EQ(error_of(vm.set(vm.vmm.vcpu, KVM_SET_XSAVE, area)), Errno::kInval);
  area.region[128] = 3;
  area.region[140] = 1;
  EXPECT_EQ(error_of(vm.set(vm.vmm.vcpu, KVM_SET_XSAVE, area)), Errno::kInval);
  area.region[140] = 0;
  area.region[40] = 0xabcd;
  EXPECT_TRUE(vm.set(vm.vmm.vcpu, KVM_SET_XSAVE, area).has_value());
  EXPECT_EQ(vm.get<abi::kvm_xsave>(vm.vmm.vcpu, KVM_GET_XSAVE2).region[40], 0xabcdU);
}

TEST(KvmXcrs, Xcr0HasWhatCpuidGives) {
  KvmVm vm;
  vm.add_vcpu();
  auto xcrs = vm.get<abi::kvm_xcrs>(vm.vmm.vcpu, KVM_GET_XCRS);
  EXPECT_EQ(xcrs.xcrs[0].value, 1U);
  xcrs.xcrs[0].value = 3;
  EXPECT_EQ(error_of(vm.set(vm.vmm.vcpu, KVM_SET_XCRS, xcrs)), Errno::kInval);
  ASSERT_TRUE(vm.set_cpuid(vm.supported()).has_value());
  EXPECT_TRUE(vm.set(vm.vmm.vcpu, KVM_SET_XCRS, xcrs).has_value());
  xcrs.xcrs[0].value = 2;  // x87 cannot be off
  EXPECT_EQ(error_of(vm.set(vm.vmm.vcpu, KVM_SET_XCRS, xcrs)), Errno::kInval);
  xcrs.nr_xcrs = 17;
  EXPECT_EQ(error_of(vm.set(vm.vmm.vcpu, KVM_SET_XCRS, xcrs)), Errno::kInval);
}

// --- vCPUs and their descriptors ---

TEST(KvmVcpus, NumberStaysTakenWhenItsDescriptorIsClosed) {
  KvmVm vm;
  vm.add_vcpu();
  ASSERT_TRUE(vm.vmm.close(vm.vmm.vcpu).has_value());
  EXPECT_EQ(error_of(vm.vmm.ioctl(vm.vmm.vm, KVM_CREATE_VCPU, std::uint64_t{0})), Errno::kExist);
  EXPECT_TRUE(vm.vmm.ioctl(vm.vmm.vm, KVM_CREATE_VCPU, std::uint64_t{1}).has_value());
}

TEST(KvmVcpus, OneWithoutADescriptorLivesUntilItsVmEnds) {
  const std::shared_ptr<machine::Machine> machine = make_machine();
  Vmm vmm(*machine);
  ASSERT_TRUE(vmm.make_vm(machine::test::kTdxVm).has_value());
  ASSERT_TRUE(vmm.finalize().has_value());
  const auto flushes = [&] {
    return std::ranges::count(machine->trace().events(), "TDH.VP.FLUSH", &object::Event::name);
  };
  ASSERT_TRUE(vmm.close(vmm.vcpu).has_value());
  EXPECT_EQ(flushes(), 0);
  ASSERT_TRUE(vmm.close(vmm.vm).has_value());
  EXPECT_EQ(flushes(), 1);
}

TEST(KvmVcpus, OneThatTheProgramHasNoNumberForWasNeverMade) {
  KvmVm vm;
  int last = -1;
  while (const auto made = vm.vmm.dup(vm.vmm.vm)) last = *made;
  const auto create = [&] { return vm.vmm.ioctl(vm.vmm.vm, KVM_CREATE_VCPU, std::uint64_t{0}); };
  EXPECT_EQ(error_of(create()), Errno::kMFile);
  ASSERT_TRUE(vm.vmm.close(last).has_value());
  EXPECT_TRUE(create().has_value());
}

/// A machine and its VMs with private memory.
struct Confidential {
  std::string_view machine;
  std::uint64_t vm_type;
};

class ConfidentialVcpus : public testing::TestWithParam<Confidential> {};

TEST_P(ConfidentialVcpus, OneThatTheProgramHasNoNumberForLeavesNothing) {
  const std::shared_ptr<machine::Machine> machine = make_machine(GetParam().machine);
  const auto before = machine->census();
  {
    Vmm vmm(*machine);
    ASSERT_TRUE(vmm.make_vm(GetParam().vm_type).has_value());
    int last = -1;
    while (const auto made = vmm.dup(vmm.vm)) last = *made;
    for (int i = 0; i < 2; ++i) EXPECT_EQ(error_of(vmm.make_vcpu()), Errno::kMFile);
    ASSERT_TRUE(vmm.close(last).has_value());
    const auto made = GetParam().vm_type == explore::kSnpVm   ? vmm.finish_snp()
                      : GetParam().vm_type == explore::kTdxVm ? vmm.finalize()
                                                              : vmm.make_vcpu();
    EXPECT_TRUE(made.has_value()) << made.error().why;
    vmm.exit();
  }
  EXPECT_EQ(machine->census(), before);
}

INSTANTIATE_TEST_SUITE_P(Vendors, ConfidentialVcpus,
                         testing::Values(Confidential{"tdx-connect", explore::kTdxVm},
                                         Confidential{"amd-sev", explore::kSnpVm},
                                         Confidential{"arm-cca-slice", explore::kRealmVm}),
                         [](const auto& of) {
                           std::string name(of.param.machine);
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace teeio::entry
