// A local APIC by its x2APIC MSRs, and what it does to other chips: IPIs, EOI, resampled lines.

#include <cstring>

#include "unit/entry/kvm_irq.h"

namespace teeio::entry {
namespace {

constexpr std::uint32_t kTpr = 0x808, kEoi = 0x80b, kSpurious = 0x80f, kErrors = 0x828,
                        kIcr = 0x830, kLvt0 = 0x835, kSelfIpi = 0x83f;

/// vCPU 0 with its local APIC on, in x2APIC mode.
void use_x2apic(KvmVm& vm) {
  vm.add_vcpu();
  ASSERT_TRUE(vm.set_cpuid(vm.supported()).has_value());
  ASSERT_TRUE(vm.set_msr(0x1b, 0xfee0'0d00));
  ASSERT_TRUE(vm.set_msr(kSpurious, 0x1ff));
}

/// Register words as KVM_GET_LAPIC shows them.
std::uint32_t lapic_register(KvmVm& vm, std::size_t offset) {
  const auto state = vm.get<abi::kvm_lapic_state>(vm.vmm.vcpu, KVM_GET_LAPIC);
  std::uint32_t value = 0;
  std::memcpy(&value, state.regs + offset, sizeof value);
  return value;
}

/// What a guest's acknowledge does: from IRR to ISR.
void take_into_service(KvmVm& vm, unsigned vector) {
  auto state = vm.get<abi::kvm_lapic_state>(vm.vmm.vcpu, KVM_GET_LAPIC);
  const std::size_t at = 0x10 * (vector / 32) + vector % 32 / 8;
  const auto bit = static_cast<char>(1U << (vector % 8));
  state.regs[0x200 + at] = static_cast<char>(state.regs[0x200 + at] & ~bit);
  state.regs[0x100 + at] = static_cast<char>(state.regs[0x100 + at] | bit);
  ASSERT_TRUE(vm.set(vm.vmm.vcpu, KVM_SET_LAPIC, state).has_value());
}

void set_pin(KvmVm& vm, std::size_t pin, std::uint64_t entry) {
  abi::kvm_irqchip chip{};
  chip.chip_id = KVM_IRQCHIP_IOAPIC;
  chip = vm.get(vm.vmm.vm, KVM_GET_IRQCHIP, chip);
  chip.chip.ioapic.redirtbl[pin] = entry;
  ASSERT_TRUE(vm.set(vm.vmm.vm, KVM_SET_IRQCHIP, chip).has_value());
}

constexpr std::uint64_t kLevel = 1U << 15U;

// kvm_lapic_reg_write() in x2APIC mode.
TEST(KvmLapicMsrs, KeepWhatTheRegisterHas) {
  KvmVm vm(Irqchip::kKernel);
  use_x2apic(vm);
  EXPECT_FALSE(vm.set_msr(0x802, 0)) << "the id is read-only";
  EXPECT_FALSE(vm.set_msr(0x80d, 1)) << "LDR too";
  EXPECT_FALSE(vm.set_msr(kErrors, 1));
  EXPECT_TRUE(vm.set_msr(kErrors, 0));
  EXPECT_FALSE(vm.set_msr(kTpr, 1ULL << 32U));
  EXPECT_FALSE(vm.set_msr(kIcr, 1U << 20U)) << "a reserved bit";
  EXPECT_FALSE(vm.msr(0x800).has_value());
  EXPECT_FALSE(vm.msr(kEoi).has_value());
  ASSERT_TRUE(vm.set_msr(kTpr, 0x1'35));
  EXPECT_EQ(vm.msr(kTpr), 0x35U);
  EXPECT_EQ(vm.msr(0x80a), 0x35U) << "the processor's priority follows";
  ASSERT_TRUE(vm.set_msr(kLvt0, 0xffff'ffff));
  EXPECT_EQ(vm.msr(kLvt0), 0x1'f7ffU);
  ASSERT_TRUE(vm.set_msr(kSpurious, 0x10ff));
  EXPECT_EQ(vm.msr(kSpurious), 0xffU) << "the in-kernel I/O APIC has no directed EOI";
  ASSERT_TRUE(vm.set_msr(kLvt0, 0x31));
  EXPECT_EQ(vm.msr(kLvt0), 0x1'0031U) << "masked while the local APIC is off";
}

// kvm_apic_set_version().
TEST(KvmLapicMsrs, VersionOffersDirectedEoiWithASplitIrqchip) {
  for (const Irqchip irqchip : {Irqchip::kKernel, Irqchip::kSplit}) {
    KvmVm vm(irqchip);
    vm.add_vcpu();
    EXPECT_EQ(lapic_register(vm, 0x30), 0x5'0014U) << "no CPUID, no x2APIC";
    ASSERT_TRUE(vm.set_cpuid(vm.supported()).has_value());
    EXPECT_EQ(lapic_register(vm, 0x30), irqchip == Irqchip::kSplit ? 0x105'0014U : 0x5'0014U);
  }
}

// kvm_vm_ioctl_enable_cap(), KVM_CAP_X2APIC_API: bits 2 and 3.
TEST(KvmLapicMsrs, DirectedEoiIsAChoiceOfASplitIrqchip) {
  KvmVm kernel(Irqchip::kKernel);
  EXPECT_EQ(kernel.extension(kernel.vmm.kvm, KVM_CAP_X2APIC_API), 15);
  EXPECT_EQ(kernel.extension(kernel.vmm.vm, KVM_CAP_X2APIC_API), 11);
  EXPECT_EQ(error_of(kernel.enable(KVM_CAP_X2APIC_API, 4)), Errno::kInval);
  EXPECT_TRUE(kernel.enable(KVM_CAP_X2APIC_API, 8).has_value());
  KvmVm vm(Irqchip::kSplit);
  EXPECT_EQ(vm.extension(vm.vmm.vm, KVM_CAP_X2APIC_API), 15);
  EXPECT_EQ(error_of(vm.enable(KVM_CAP_X2APIC_API, 12)), Errno::kInval);
  ASSERT_TRUE(vm.enable(KVM_CAP_X2APIC_API, 8).has_value());
  use_x2apic(vm);
  EXPECT_EQ(lapic_register(vm, 0x30), 0x5'0014U);
  ASSERT_TRUE(vm.enable(KVM_CAP_X2APIC_API, 4).has_value());
  ASSERT_TRUE(vm.set_cpuid(vm.supported()).has_value());
  EXPECT_EQ(lapic_register(vm, 0x30), 0x105'0014U);
  ASSERT_TRUE(vm.set_msr(kSpurious, 0x11ff));
  EXPECT_EQ(vm.msr(kSpurious), 0x11ffU);
}

TEST(KvmLapicMsrs, IpisReachWhomTheyName) {
  KvmVm vm(Irqchip::kKernel);
  use_x2apic(vm);
  ASSERT_TRUE(vm.set_msr(kSelfIpi, 0x41));
  EXPECT_TRUE(requested(vm, 0x41));
  EXPECT_FALSE(vm.set_msr(kSelfIpi, 0x100));
  ASSERT_TRUE(vm.set_msr(kIcr, 0x0'0042)) << "physical, to id 0";
  EXPECT_TRUE(requested(vm, 0x42));
  ASSERT_TRUE(vm.set_msr(kIcr, 0xc'0043)) << "all but itself";
  EXPECT_FALSE(requested(vm, 0x43));
  ASSERT_TRUE(vm.set_msr(kIcr, 0x1'0000'0044)) << "to id 1, which is not there";
  EXPECT_FALSE(requested(vm, 0x44));
}

// apic_set_eoi() and kvm_ioapic_update_eoi().
TEST(KvmLapicMsrs, EoiServesALevelThatIsStillUp) {
  KvmVm vm(Irqchip::kKernel);
  use_x2apic(vm);
  set_pin(vm, 20, kLevel | 0x55);
  abi::kvm_irq_level line{};
  line.irq = 20;
  line.level = 1;
  ASSERT_TRUE(vm.set(vm.vmm.vm, KVM_IRQ_LINE, line).has_value());
  EXPECT_TRUE(requested(vm, 0x55));
  take_into_service(vm, 0x55);
  EXPECT_EQ(vm.msr(0x80a), 0x50U);
  ASSERT_TRUE(vm.set_msr(kEoi, 0));
  EXPECT_EQ(vm.msr(0x80a), 0U);
  EXPECT_TRUE(requested(vm, 0x55)) << "the line is up still";
  line.level = 0;
  ASSERT_TRUE(vm.set(vm.vmm.vm, KVM_IRQ_LINE, line).has_value());
  take_into_service(vm, 0x55);
  ASSERT_TRUE(vm.set_msr(kEoi, 0));
  EXPECT_FALSE(requested(vm, 0x55));
  EXPECT_TRUE(vm.set_msr(kEoi, 0)) << "with nothing in service";
}

// kvm_arch_irqfd_allowed(), irqfd_inject() and irqfd_resampler_ack().
TEST(KvmResample, LineStaysUpUntilTheEndOfTheInterrupt) {
  KvmVm vm(Irqchip::kKernel);
  EXPECT_EQ(vm.extension(vm.vmm.vm, KVM_CAP_IRQFD_RESAMPLE), 1);
  use_x2apic(vm);
  set_pin(vm, 20, kLevel | 0x55);
  EventFd event(vm);
  EventFd resample(vm);
  ASSERT_TRUE(irqfd(vm, event.fd, 20, KVM_IRQFD_FLAG_RESAMPLE, resample.fd).has_value());
  event.signal();
  EXPECT_TRUE(requested(vm, 0x55));
  take_into_service(vm, 0x55);
  EXPECT_EQ(resample.file->take(), 0U);
  ASSERT_TRUE(vm.set_msr(kEoi, 0));
  EXPECT_EQ(resample.file->take(), 1U);
  EXPECT_FALSE(requested(vm, 0x55)) << "the line went down first";
  event.signal();
  EXPECT_TRUE(requested(vm, 0x55));
}

// irqfd_resampler_shutdown(): one line may have several; the last one takes it down.
TEST(KvmResample, LastOneOfALineTakesItDown) {
  KvmVm vm(Irqchip::kKernel);
  use_x2apic(vm);
  set_pin(vm, 20, kLevel | 0x55);
  EventFd first(vm), second(vm), resample(vm);
  ASSERT_TRUE(irqfd(vm, first.fd, 20, KVM_IRQFD_FLAG_RESAMPLE, resample.fd).has_value());
  ASSERT_TRUE(irqfd(vm, second.fd, 20, KVM_IRQFD_FLAG_RESAMPLE, resample.fd).has_value());
  first.signal();
  EXPECT_TRUE(requested(vm, 0x55));
  ASSERT_TRUE(irqfd(vm, first.fd, 20, KVM_IRQFD_FLAG_DEASSIGN).has_value());
  take_into_service(vm, 0x55);
  ASSERT_TRUE(irqfd(vm, second.fd, 20, KVM_IRQFD_FLAG_DEASSIGN).has_value());
  ASSERT_TRUE(vm.set_msr(kEoi, 0));
  EXPECT_FALSE(requested(vm, 0x55));
  EXPECT_EQ(resample.file->take(), 0U) << "nobody asks any more";
}

TEST(KvmResample, NeedsTheFullIrqchipAndAnEventfd) {
  KvmVm split(Irqchip::kSplit);
  EventFd event(split), resample(split);
  EXPECT_EQ(error_of(irqfd(split, event.fd, 20, KVM_IRQFD_FLAG_RESAMPLE, resample.fd)),
            Errno::kInval);
  KvmVm vm(Irqchip::kKernel);
  EventFd line(vm);
  EXPECT_EQ(error_of(irqfd(vm, line.fd, 20, KVM_IRQFD_FLAG_RESAMPLE, 999)), Errno::kBadF);
  EXPECT_EQ(error_of(irqfd(vm, line.fd, 20, KVM_IRQFD_FLAG_RESAMPLE, vm.vmm.vm)), Errno::kInval);
  EXPECT_TRUE(irqfd(vm, line.fd, 20).has_value()) << "a refusal keeps nothing";
}

}  // namespace
}  // namespace teeio::entry
