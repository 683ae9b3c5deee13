// What a running guest shows of the interface: CPUID, ioeventfds, dirty logs, hypercalls,
// events that are due.

#include "unit/entry/kvm_guest.h"

#include <cstring>

#include "entry/vendor_vms.h"

namespace teeio::entry {
namespace {

// sync_regs(), store_regs()
TEST(KvmGuest, RegistersTravelInTheRunPage) {
  Guest guest({0x43, 0xf4});  // inc ebx; hlt
  EXPECT_EQ(guest.extension(guest.vmm.kvm, KVM_CAP_SYNC_REGS), 7);
  abi::kvm_run& page = guest.page();
  page.kvm_valid_regs = 8;
  EXPECT_EQ(error_of(guest.vmm.ioctl(guest.vmm.vcpu, KVM_RUN, std::uint64_t{0})), Errno::kInval);
  page.kvm_valid_regs = 7;
  EXPECT_EQ(guest.run(), KVM_EXIT_HLT);
  EXPECT_EQ(page.s.regs.regs.rbx, 1U);
  EXPECT_EQ(page.s.regs.regs.rip, kCode + 2);
  EXPECT_EQ(page.s.regs.sregs.cs.selector, 8);
  page.s.regs.regs.rbx = 0x77;
  page.s.regs.regs.rip = kCode;
  page.kvm_dirty_regs = 1;
  EXPECT_EQ(guest.run(), KVM_EXIT_HLT);
  EXPECT_EQ(page.kvm_dirty_regs, 0U);
  EXPECT_EQ(page.s.regs.regs.rbx, 0x78U);
  EXPECT_EQ(guest.regs().rbx, 0x78U);
  page.s.regs.events.exception.injected = 1;
  page.s.regs.events.exception.nr = 32;
  page.kvm_dirty_regs = 4;
  EXPECT_EQ(error_of(guest.vmm.ioctl(guest.vmm.vcpu, KVM_RUN, std::uint64_t{0})), Errno::kInval);
  EXPECT_EQ(page.kvm_dirty_regs, 4U);
}

// kvm_arch_vcpu_ioctl_translate(). oracle:kvm_translate has every paging mode.
TEST(KvmGuest, LinearAddressesAreTranslatedByTheGuestsTables) {
  Guest guest({0xf4});
  ASSERT_TRUE(guest.set_cpuid(guest.supported()).has_value());
  const auto translate = [&](std::uint64_t linear) {
    abi::kvm_translation arg{};
    arg.linear_address = linear;
    return guest.get(guest.vmm.vcpu, KVM_TRANSLATE, arg);
  };
  EXPECT_EQ(translate(0xffff'8000'0000'1234).physical_address, 0xffff'8000'0000'1234U);
  const auto put = [&](std::uint64_t gpa, std::uint64_t entry) {
    EXPECT_TRUE(guest.vmm.memory().write(guest.slot.userspace_addr + gpa, bytes_of(entry)));
  };
  put(0x4000, 0x5003);
  put(0x5000, 0x6003);
  put(0x6000, 0x7003);
  put(0x6008, 0x60'0083);  // 2 MiB
  put(0x7008, 0xabc'd001);
  auto sregs = guest.get<abi::kvm_sregs>(guest.vmm.vcpu, KVM_GET_SREGS);
  sregs.cr0 |= 1U << 31U;
  sregs.cr3 = 0x4000;
  sregs.cr4 = 0x20;
  sregs.efer = 0x500;
  sregs.cs.l = 1;
  sregs.cs.db = 0;
  ASSERT_TRUE(guest.set(guest.vmm.vcpu, KVM_SET_SREGS, sregs).has_value());
  EXPECT_EQ(translate(0x1042).physical_address, 0xabc'd042U);
  EXPECT_EQ(translate(0x1042).valid, 1);
  EXPECT_EQ(translate(0x21'2345).physical_address, 0x61'2345U);
  EXPECT_EQ(translate(0x2000).valid, 0);
  EXPECT_EQ(translate(0x2000).physical_address, ~std::uint64_t{0});
  std::uint64_t entry = 0;
  ASSERT_TRUE(
      guest.vmm.memory().read(guest.slot.userspace_addr + 0x7008, writable_bytes_of(entry)));
  EXPECT_EQ(entry, 0xabc'd021U) << "accessed";
}

TEST(KvmGuest, CpuidIsWhatTheVmmSet) {
  Guest guest({0xb8, 1, 0, 0, 0, 0x0f, 0xa2, 0xf4});  // mov eax, 1; cpuid; hlt
  KvmVm::CpuidList list = guest.supported();
  for (abi::kvm_cpuid_entry2& entry : list.entries)
    if (entry.function == 1) entry.eax = 0x1234;
  ASSERT_TRUE(guest.set_cpuid(list).has_value());
  EXPECT_EQ(guest.run(), static_cast<unsigned>(KVM_EXIT_HLT));
  EXPECT_EQ(guest.regs().rax, 0x1234U);
  // The model is fixed then; the same once more is taken.
  EXPECT_TRUE(guest.set_cpuid(list).has_value());
  list.entries[0].ebx = 1;
  EXPECT_EQ(error_of(guest.set_cpuid(list)), Errno::kInval);
}

TEST(KvmGuest, StoreThatAnEventfdTakesIsNoExit) {
  Guest guest({0xb0, 7, 0xe6, 0x80,  // mov al, 7; out 0x80, al
               0xb8, 5, 0, 0, 0,     // mov eax, 5
               0xa3, 0, 0, 0x20, 0,  // mov [0x200000], eax
               0xe6, 0x80, 0xf4});   // out 0x80, al; hlt
  const auto file = object::make_ref<mm::PlainEventFd>();
  abi::kvm_ioeventfd arg{};
  arg.fd = *guest.vmm.install(object::Ref<object::File>(file));
  arg.addr = 0x80;
  arg.len = 1;
  arg.flags = KVM_IOEVENTFD_FLAG_PIO | KVM_IOEVENTFD_FLAG_DATAMATCH;
  arg.datamatch = 7;
  ASSERT_TRUE(guest.set(guest.vmm.vm, KVM_IOEVENTFD, arg).has_value());
  arg.addr = 0x20'0000;
  arg.len = 0;
  arg.flags = 0;
  ASSERT_TRUE(guest.set(guest.vmm.vm, KVM_IOEVENTFD, arg).has_value());
  EXPECT_EQ(guest.run(), static_cast<unsigned>(KVM_EXIT_IO));  // 5 does not match
  EXPECT_EQ(file->take(), 2U);
}

TEST(KvmGuest, DirtyLogHasThePagesThatWereWritten) {
  Guest guest({0xa3, 0, 0x30, 0, 0, 0xf4,   // mov [0x3000], eax; hlt
               0xa3, 0, 0x50, 0, 0, 0xf4},  // mov [0x5000], eax; hlt
              Irqchip::kNone, KVM_MEM_LOG_DIRTY_PAGES);
  const std::uint64_t bitmap = guest.vmm.memory().map(kPageSize);
  const auto log = [&](std::uint32_t slot) -> Result<std::uint64_t> {
    abi::kvm_dirty_log arg{};
    arg.slot = slot;
    arg.dirty_bitmap = bitmap;
    TEEIO_TRY(guest.vmm.ioctl(guest.vmm.vm, KVM_GET_DIRTY_LOG, arg));
    std::uint64_t bits = 0;
    TEEIO_TRY(guest.vmm.memory().read(bitmap, writable_bytes_of(bits)));
    return bits;
  };
  EXPECT_EQ(error_of(log(3)), Errno::kNoEnt);
  EXPECT_EQ(error_of(log(40000)), Errno::kInval);
  EXPECT_EQ(log(0), 0U);
  EXPECT_EQ(guest.run(), static_cast<unsigned>(KVM_EXIT_HLT));
  EXPECT_EQ(log(0), 1U << (kData / kPageSize));
  EXPECT_EQ(log(0), 0U);  // it was cleared
  EXPECT_EQ(guest.run(), static_cast<unsigned>(KVM_EXIT_HLT));
  EXPECT_EQ(log(0), 1U << 5U);
  guest.slot.flags = 0;
  ASSERT_TRUE(guest.set(guest.vmm.vm, KVM_SET_USER_MEMORY_REGION, guest.slot).has_value());
  EXPECT_EQ(error_of(log(0)), Errno::kNoEnt);
}

TEST(KvmGuest, ManualDirtyLogIsClearedByItsOwnCall) {
  Guest guest({0xa3, 0, 0x30, 0, 0, 0xf4});
  ASSERT_TRUE(guest.enable(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 3).has_value());
  guest.slot.flags = KVM_MEM_LOG_DIRTY_PAGES;
  ASSERT_TRUE(guest.set(guest.vmm.vm, KVM_SET_USER_MEMORY_REGION, guest.slot).has_value());
  const std::uint64_t bitmap = guest.vmm.memory().map(kPageSize);
  abi::kvm_dirty_log get{};
  get.dirty_bitmap = bitmap;
  std::uint64_t bits = 0;
  const auto read = [&] {
    EXPECT_TRUE(guest.set(guest.vmm.vm, KVM_GET_DIRTY_LOG, get).has_value());
    EXPECT_TRUE(guest.vmm.memory().read(bitmap, writable_bytes_of(bits)).has_value());
    return bits;
  };
  EXPECT_EQ(read(), 0xffffU);  // KVM_DIRTY_LOG_INITIALLY_SET
  abi::kvm_clear_dirty_log clear{};
  clear.dirty_bitmap = bitmap;
  clear.first_page = 1;
  clear.num_pages = 16;
  EXPECT_EQ(error_of(guest.set(guest.vmm.vm, KVM_CLEAR_DIRTY_LOG, clear)), Errno::kInval);
  clear.first_page = 0;
  clear.num_pages = 15;  // neither all nor a multiple of 64
  EXPECT_EQ(error_of(guest.set(guest.vmm.vm, KVM_CLEAR_DIRTY_LOG, clear)), Errno::kInval);
  clear.num_pages = 16;
  ASSERT_TRUE(guest.set(guest.vmm.vm, KVM_CLEAR_DIRTY_LOG, clear).has_value());
  EXPECT_EQ(guest.run(), static_cast<unsigned>(KVM_EXIT_HLT));
  EXPECT_EQ(read(), 1U << (kData / kPageSize));
  EXPECT_EQ(read(), 1U << (kData / kPageSize));
}

TEST(KvmGuest, HypercallExitsOnlyWhenTheVmmAskedForIt) {
  const std::initializer_list<std::uint8_t> code = {
      0xb8, 12, 0, 0, 0, 0xbb, 0,    0x30, 0,
      0,                                           // mov eax, KVM_HC_MAP_GPA_RANGE; mov ebx, 0x3000
      0xb9, 1,  0, 0, 0, 0x0f, 0x01, 0xc1, 0xf4};  // mov ecx, 1; vmcall; hlt
  Guest without(code);
  EXPECT_EQ(without.run(), static_cast<unsigned>(KVM_EXIT_HLT));
  EXPECT_EQ(without.regs().rax, 0xffff'fc18U);  // -KVM_ENOSYS, in 32 bits
  Guest guest(code);
  ASSERT_TRUE(guest.enable(KVM_CAP_EXIT_HYPERCALL, 1U << KVM_HC_MAP_GPA_RANGE).has_value());
  EXPECT_EQ(guest.run(), static_cast<unsigned>(KVM_EXIT_HYPERCALL));
  EXPECT_EQ(guest.page().hypercall.args[0], 0x3000U);
  guest.page().hypercall.ret = 5;
  EXPECT_EQ(guest.run(), static_cast<unsigned>(KVM_EXIT_HLT));
  EXPECT_EQ(guest.regs().rax, 5U);
}

TEST(KvmGuest, EventThatIsDueEndsTheRun) {
  Guest guest({0xf4});
  abi::kvm_vcpu_events events{};
  events.exception.injected = 1;
  events.exception.nr = 6;
  ASSERT_TRUE(guest.set(guest.vmm.vcpu, KVM_SET_VCPU_EVENTS, events).has_value());
  EXPECT_EQ(guest.run(), static_cast<unsigned>(KVM_EXIT_INTERNAL_ERROR));
  EXPECT_EQ(guest.page().internal.suberror, static_cast<unsigned>(KVM_INTERNAL_ERROR_DELIVERY_EV));
}

TEST(KvmGuest, InterruptWindowOpensWithTheGuestsFlag) {
  Guest guest({0xfb, 0x90, 0xe6, 0x80, 0xf4});  // sti; nop; out 0x80, al; hlt
  guest.page().request_interrupt_window = 1;
  EXPECT_EQ(guest.run(), static_cast<unsigned>(KVM_EXIT_IO));
  EXPECT_EQ(guest.page().if_flag, 1);
  EXPECT_EQ(guest.page().ready_for_interrupt_injection, 1);
  EXPECT_EQ(guest.run(), static_cast<unsigned>(KVM_EXIT_IRQ_WINDOW_OPEN));
  guest.page().request_interrupt_window = 0;
  EXPECT_EQ(guest.run(), static_cast<unsigned>(KVM_EXIT_HLT));
}

TEST(KvmGuest, FatalErrorShowsAllSixteenRegisters) {
  kvm::VcpuExit exit;
  exit.reason = kvm::VcpuExit::Reason::kVendor;
  exit.number = 0x10003;  // TDG.VP.VMCALL<ReportFatalError>
  for (std::uint64_t i = 0; i < 16; ++i) exit.registers[i] = 100 + i;
  abi::kvm_run run{};
  vendor_vm(machine::test::kTdxVm)->encode(exit, run);
  EXPECT_EQ(run.exit_reason, static_cast<unsigned>(KVM_EXIT_SYSTEM_EVENT));
  EXPECT_EQ(run.system_event.type, static_cast<unsigned>(KVM_SYSTEM_EVENT_TDX_FATAL));
  ASSERT_EQ(run.system_event.ndata, 16U);
  for (std::uint64_t i = 0; i < 16; ++i) EXPECT_EQ(run.system_event.data[i], 100 + i) << i;
}

}  // namespace
}  // namespace teeio::entry
