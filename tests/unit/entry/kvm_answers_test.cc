// What Linux 7.3 answered when it was asked at random (KVM on AMD, nested in an emulator): each
// question was answered otherwise here.

#include "unit/entry/kvm_irq.h"

namespace teeio::entry {
namespace {

abi::kvm_userspace_memory_region memory(std::uint32_t slot, std::uint64_t gpa,
                                        std::uint32_t flags) {
  alignas(4096) static std::byte page[4096];
  return {.slot = slot,
          .flags = flags,
          .guest_phys_addr = gpa,
          .memory_size = sizeof page,
          .userspace_addr = reinterpret_cast<std::uintptr_t>(page)};
}

TEST(KvmAnswers, CapabilitiesThatAreThere) {
  KvmVm vm;
  for (const std::uint32_t cap :
       {std::uint32_t{KVM_CAP_PCI_SEGMENT}, std::uint32_t{KVM_CAP_SYSTEM_EVENT_DATA}}) {
    EXPECT_EQ(vm.extension(vm.vmm.kvm, cap), 1);
    EXPECT_EQ(vm.extension(vm.vmm.vm, cap), 1);
  }
}

// kvm_lapic_set_vapic_addr().
TEST(KvmAnswers, VapicIsWhereTheVmHasMemory) {
  KvmVm vm(Irqchip::kSplit);
  vm.add_vcpu();
  const auto set = [&](std::uint64_t address) {
    return vm.set(vm.vmm.vcpu, KVM_SET_VAPIC_ADDR, abi::kvm_vapic_addr{.vapic_addr = address});
  };
  EXPECT_TRUE(set(0).has_value());
  EXPECT_EQ(error_of(set(0x1000)), Errno::kInval);
  ASSERT_TRUE(vm.set(vm.vmm.vm, KVM_SET_USER_MEMORY_REGION, memory(0, 0x1000, 0)).has_value());
  EXPECT_TRUE(set(0x1ffc).has_value());
  EXPECT_EQ(error_of(set(0x1ffe)), Errno::kInval) << "its end is on the next page";
  EXPECT_EQ(error_of(set(~std::uint64_t{0})), Errno::kInval);
  ASSERT_TRUE(vm.set(vm.vmm.vm, KVM_SET_USER_MEMORY_REGION, memory(1, 0x5000, KVM_MEM_READONLY)));
  EXPECT_EQ(error_of(set(0x5000)), Errno::kInval);
}

TEST(KvmAnswers, NoSystemManagementModeIsNoSuchCall) {
  KvmVm vm;
  vm.add_vcpu();
  EXPECT_EQ(error_of(vm.vmm.ioctl(vm.vmm.vcpu, KVM_SMI, std::uint64_t{0})), Errno::kNoTty);
}

// kvm_clear_dirty_log_protect(): the slot and the range come before the bitmap.
TEST(KvmAnswers, DirtyBitmapIsReadLast) {
  KvmVm vm;
  abi::kvm_clear_dirty_log clear{};
  clear.num_pages = 1;
  clear.dirty_bitmap = 0;  // nowhere
  EXPECT_EQ(error_of(vm.set(vm.vmm.vm, KVM_CLEAR_DIRTY_LOG, clear)), Errno::kNoEnt);
  clear.first_page = 1;
  EXPECT_EQ(error_of(vm.set(vm.vmm.vm, KVM_CLEAR_DIRTY_LOG, clear)), Errno::kInval);
  clear.first_page = 0;
  ASSERT_TRUE(
      vm.set(vm.vmm.vm, KVM_SET_USER_MEMORY_REGION, memory(0, 0x1000, KVM_MEM_LOG_DIRTY_PAGES)));
  EXPECT_EQ(error_of(vm.set(vm.vmm.vm, KVM_CLEAR_DIRTY_LOG, clear)), Errno::kFault);
}

TEST(KvmAnswers, IoeventfdTakesKvmsOwnFastFlag) {
  KvmVm vm;
  EventFd event(vm);
  abi::kvm_ioeventfd arg{};
  arg.fd = event.fd;
  arg.addr = 0x1000;
  arg.len = 2;
  arg.flags = 1U << 4U;
  EXPECT_TRUE(vm.set(vm.vmm.vm, KVM_IOEVENTFD, arg).has_value());
  arg.flags = 1U << 5U;
  EXPECT_EQ(error_of(vm.set(vm.vmm.vm, KVM_IOEVENTFD, arg)), Errno::kInval);
}

// copy_uabi_to_xstate().
TEST(KvmAnswers, MxcsrCountsOnlyWithAComponent) {
  KvmVm vm;
  vm.add_vcpu();
  abi::kvm_xsave area{};
  area.region[6] = 0x1'0000;
  EXPECT_TRUE(vm.set(vm.vmm.vcpu, KVM_SET_XSAVE, area).has_value());
  EXPECT_EQ(vm.get<abi::kvm_xsave>(vm.vmm.vcpu, KVM_GET_XSAVE).region[6], 0x1f80U);
  for (const std::uint32_t components : {1U, 2U, 3U}) {
    area.region[128] = components;
    EXPECT_EQ(error_of(vm.set(vm.vmm.vcpu, KVM_SET_XSAVE, area)), Errno::kInval);
  }
}

// kvm_update_cpuid_runtime().
TEST(KvmAnswers, CpuidHasTheSizeOfWhatXcr0Switches) {
  KvmVm vm;
  vm.add_vcpu();
  KvmVm::CpuidList list;
  list.header.nent = 1;
  list.entries[0].function = 0xd;
  list.entries[0].flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
  list.entries[0].eax = 3;
  list.entries[0].ebx = 77;
  ASSERT_TRUE(vm.set_cpuid(list).has_value());
  list.header.nent = std::size(list.entries);
  list = vm.get(vm.vmm.vcpu, KVM_GET_CPUID2, list);
  EXPECT_EQ(list.entries[0].ebx, 0x240U);
}

// process_nmi().
TEST(KvmAnswers, OneNmiWaitsForAnother) {
  KvmVm vm;
  vm.add_vcpu();
  abi::kvm_vcpu_events events{};
  events.flags = KVM_VCPUEVENT_VALID_NMI_PENDING;
  events.nmi.pending = 3;
  events.nmi.masked = 1;
  ASSERT_TRUE(vm.set(vm.vmm.vcpu, KVM_SET_VCPU_EVENTS, events).has_value());
  EXPECT_EQ(vm.get<abi::kvm_vcpu_events>(vm.vmm.vcpu, KVM_GET_VCPU_EVENTS).nmi.pending, 1);
}

// vmx_set_interrupt_shadow(), by its source: the host that was asked has but one bit.
TEST(KvmAnswers, ShadowIsOfOneInstruction) {
  KvmVm vm;
  vm.add_vcpu();
  for (const auto& [given, kept] : {std::pair{0xff, 1}, {4, 0}, {2, 2}, {3, 1}}) {
    abi::kvm_vcpu_events events{};
    events.flags = KVM_VCPUEVENT_VALID_SHADOW;
    events.interrupt.shadow = static_cast<std::uint8_t>(given);
    ASSERT_TRUE(vm.set(vm.vmm.vcpu, KVM_SET_VCPU_EVENTS, events).has_value());
    EXPECT_EQ(vm.get<abi::kvm_vcpu_events>(vm.vmm.vcpu, KVM_GET_VCPU_EVENTS).interrupt.shadow,
              kept);
  }
}

TEST(KvmAnswers, PitStateIsReadBeforeThePitIsLookedFor) {
  KvmVm vm;
  EXPECT_EQ(error_of(vm.vmm.ioctl(vm.vmm.vm, KVM_SET_PIT, std::uint64_t{0})), Errno::kFault);
}

// kvm_vfio_set_attr() and kvm_vfio_has_attr() look at no flags.
TEST(KvmAnswers, VfioDeviceLooksAtNoFlags) {
  KvmVm vm;
  abi::kvm_create_device create{};
  create.type = abi::KVM_DEV_TYPE_VFIO;
  create = vm.get(vm.vmm.vm, KVM_CREATE_DEVICE, create);
  const auto device = static_cast<int>(create.fd);
  abi::kvm_device_attr attr{};
  attr.flags = 1;
  attr.group = KVM_DEV_VFIO_FILE;
  attr.attr = KVM_DEV_VFIO_FILE_ADD;
  EXPECT_TRUE(vm.set(device, KVM_HAS_DEVICE_ATTR, attr).has_value());
  attr.addr = 0;  // nowhere
  EXPECT_EQ(error_of(vm.set(device, KVM_SET_DEVICE_ATTR, attr)), Errno::kFault);
}

// kvm_vector_to_index(): the vector chooses among those that a lowest-priority MSI names.
TEST(KvmAnswers, RedirectedMsiGoesToOneOfThem) {
  KvmVm vm(Irqchip::kSplit);
  vm.add_vcpu();
  enable_lapic(vm);
  abi::kvm_msi msi{};
  msi.address_lo = 0xfee0'100c;  // logical, with the hint: nobody has an LDR
  msi.data = 0x31;
  EXPECT_EQ(vm.set(vm.vmm.vm, KVM_SIGNAL_MSI, msi), 0);
  auto state = vm.get<abi::kvm_lapic_state>(vm.vmm.vcpu, KVM_GET_LAPIC);
  state.regs[0xd3] = 1;
  ASSERT_TRUE(vm.set(vm.vmm.vcpu, KVM_SET_LAPIC, state).has_value());
  EXPECT_EQ(vm.set(vm.vmm.vm, KVM_SIGNAL_MSI, msi), 1);
  EXPECT_TRUE(requested(vm, 0x31));
}

}  // namespace
}  // namespace teeio::entry
