#include "host/kvm/x86/vcpu_state.h"

#include <algorithm>
#include <cstring>

namespace teeio::kvm::x86 {
namespace {

constexpr std::uint64_t kCr4Mce = 1U << 6U;
constexpr std::uint64_t kCr4Osxsave = 1U << 18U;
constexpr std::uint64_t kCr0Paging = 1U << 31U;
constexpr std::uint64_t kEferSyscall = 1U << 0U;
constexpr std::uint64_t kEferLme = 1U << 8U;
constexpr std::uint64_t kEferLma = 1U << 10U;
constexpr std::uint64_t kEferNx = 1U << 11U;

// An XSAVE area. Source: Intel SDM vol. 1, 13.4.
constexpr std::size_t kFcw = 0;
constexpr std::size_t kMxcsr = 24;
constexpr std::size_t kMxcsrMask = 28;
constexpr std::size_t kX87Registers = 32;
constexpr std::size_t kXmmRegisters = 160;
constexpr std::size_t kXmmEnd = 416;
constexpr std::size_t kXstateBv = 512;
constexpr std::size_t kXsaveReserved = 520;
constexpr std::size_t kXsaveHeaderEnd = 576;
constexpr std::uint32_t kMxcsrBits = 0xffff;
constexpr std::uint64_t kX87State = 1;
constexpr std::uint64_t kSseState = 2;

template <class T, std::size_t N>
void store(std::array<std::byte, N>& area, std::size_t at, T value) {
  std::memcpy(area.data() + at, &value, sizeof value);
}

template <class T>
T load(std::span<const std::byte> area, std::size_t at) {
  T value{};
  std::memcpy(&value, area.data() + at, sizeof value);
  return value;
}

using Xsave = std::array<std::byte, kXsaveSize>;

Xsave initial_xsave() {
  Xsave area{};
  store<std::uint16_t>(area, kFcw, 0x37f);
  store<std::uint32_t>(area, kMxcsr, 0x1f80);
  store<std::uint32_t>(area, kMxcsrMask, kMxcsrBits);
  return area;
}

/// The components of `which` from one area into another.
void copy_components(std::span<const std::byte> from, Xsave& to, std::uint64_t which) {
  const auto copy = [&](std::size_t begin, std::size_t end) {
    std::copy_n(from.begin() + static_cast<std::ptrdiff_t>(begin), end - begin,
                to.begin() + static_cast<std::ptrdiff_t>(begin));
  };
  if ((which & kX87State) != 0) {
    copy(0, kMxcsr);
    copy(kX87Registers, kXmmRegisters);
  }
  if ((which & kSseState) != 0) {
    copy(kMxcsr, kMxcsrMask);
    copy(kXmmRegisters, kXmmEnd);
  }
}

}  // namespace

VcpuState::VcpuState(VmState& vm, std::uint32_t id)
    : vm_(vm),
      lapic_in_kernel_(vm.interrupts().mode() != IrqchipMode::kNone),
      msrs_(cpuid_, vm.has_quirk(kQuirkStuffFeatureMsrs)),
      lapic_(id, vm.is_boot_cpu(id)),
      tsc_khz_(vm.tsc_khz()) {
  xsave_ = initial_xsave();
  if (!lapic_in_kernel_) return;
  lapic_.reset(vm.has_quirk(kQuirkLint0Reenabled));
  // kvm_arch_vcpu_create(): who is not the boot CPU waits for INIT.
  if (!vm.is_boot_cpu(id)) mp_state_ = MpState::kUninitialized;
  vm.interrupts().attach(lapic_);
}

VcpuState::~VcpuState() {
  if (lapic_in_kernel_) vm_.interrupts().detach(lapic_);
}

CpuidDynamic VcpuState::dynamic() {
  return {.osxsave = (cr4_ & kCr4Osxsave) != 0,
          .apic_enabled = (apic_base() & kApicBaseEnable) != 0};
}

Result<void> VcpuState::set_cpuid(std::vector<CpuidEntry> entries) {
  TEEIO_TRY(cpuid_.set(std::move(entries), dynamic()));
  const bool directed = cpuid_.has(kX2apic) && vm_.offers_directed_eoi();  // kvm_apic_set_version()
  if (lapic_in_kernel_)
    vm_.interrupts().with_lapic(
        lapic_, [directed](Lapic& lapic, bool) { lapic.set_directed_eoi(directed); });
  return {};
}

void VcpuState::note_cr4(std::uint64_t cr4) {
  if (cr4_ == cr4) return;
  cr4_ = cr4;
  cpuid_.refresh(dynamic());
}

std::uint64_t VcpuState::apic_base() {
  return vm_.interrupts().with_lapic(lapic_, [](Lapic& lapic, bool) { return lapic.base(); });
}

bool VcpuState::set_apic_base(std::uint64_t base) {
  const std::uint64_t old = apic_base();
  if (old == base) return true;
  std::uint64_t reserved = cpuid_.reserved_gpa_bits() | 0x2ff;
  if (!cpuid_.has(kX2apic)) reserved |= kApicBaseX2apic;
  const bool invalid = (base & (kApicBaseX2apic | kApicBaseEnable)) == kApicBaseX2apic;
  if ((base & reserved) != 0 || invalid) return false;
  vm_.interrupts().with_lapic(lapic_, [base](Lapic& lapic, bool) { lapic.set_base(base); });
  cpuid_.refresh(dynamic());
  return true;
}

std::uint64_t VcpuState::cr8() {
  if (!lapic_in_kernel_) return cr8_;
  return vm_.interrupts().with_lapic(lapic_,
                                     [](Lapic& lapic, bool) { return std::uint64_t{lapic.tpr()}; });
}

/// kvm_set_cr8()
bool VcpuState::set_cr8(std::uint64_t cr8) {
  if (cr8 > 15) return false;
  if (!lapic_in_kernel_) {
    cr8_ = cr8;
    return true;
  }
  vm_.interrupts().with_lapic(
      lapic_, [cr8](Lapic& lapic, bool) { lapic.set_tpr(static_cast<std::uint8_t>(cr8)); });
  return true;
}

bool VcpuState::valid_efer(std::uint64_t efer) const {
  if ((efer & ~(kEferSyscall | kEferLme | kEferLma | kEferNx)) != 0) return false;
  if ((efer & (kEferLme | kEferLma)) != 0 && !cpuid_.has(kLongMode)) return false;
  return (efer & kEferNx) == 0 || cpuid_.has(kNx);
}

Result<void> VcpuState::set_control(const ControlRegisters& control) {
  if ((control.cr4 & ~cpuid_.cr4_bits()) != 0)
    return fail(Errno::kInval, "CR4 has a bit that the vCPU's CPUID does not allow");
  if (!valid_efer(control.efer))
    return fail(Errno::kInval, "EFER has a bit that the vCPU's CPUID does not allow");
  const bool long_mode = (control.efer & kEferLme) != 0 && (control.cr0 & kCr0Paging) != 0;
  if (long_mode && (control.cr3 & cpuid_.reserved_gpa_bits()) != 0)
    return fail(Errno::kInval, "CR3 is beyond the vCPU's physical addresses");
  if (!set_apic_base(control.apic_base))
    return fail(Errno::kInval, "the vCPU cannot have such an IA32_APIC_BASE");
  note_cr4(control.cr4);
  set_cr8(control.cr8);
  for (unsigned word = 0; word < 4; ++word)
    for (unsigned bit = 0; bit < 64; ++bit)
      if (((control.interrupt_bitmap[word] >> bit) & 1U) != 0) {
        events_.interrupt.injected = 1;
        events_.interrupt.nr = static_cast<std::uint8_t>(64 * word + bit);
        events_.interrupt.soft = 0;
        return {};
      }
  return {};
}

void VcpuState::show_control(ControlRegisters& control) {
  control.cr8 = cr8();
  control.apic_base = apic_base();
  std::ranges::fill(control.interrupt_bitmap, 0);
  if (events_.interrupt.injected != 0 && events_.interrupt.soft == 0)
    control.interrupt_bitmap[events_.interrupt.nr / 64U] |= 1ULL << (events_.interrupt.nr % 64U);
}

Result<void> VcpuState::set_mp_state(std::uint32_t state) {
  switch (static_cast<MpState>(state)) {
    case MpState::kRunnable:
      break;
    case MpState::kUninitialized:
    case MpState::kHalted:
    case MpState::kApResetHold:
    case MpState::kInitReceived:
    case MpState::kSipiReceived:
      if (!lapic_in_kernel_) return fail(Errno::kInval, "the state needs a local APIC of KVM's");
      break;
    default:
      return fail(Errno::kInval, "no such state of a vCPU");
  }
  mp_state_ = static_cast<MpState>(state);
  if (mp_state_ == MpState::kSipiReceived) {
    mp_state_ = MpState::kInitReceived;
    vm_.interrupts().with_lapic(lapic_, [](Lapic& lapic, bool) { lapic.set_sipi_pending(true); });
  }
  return {};
}

Result<void> VcpuState::set_debug_registers(const DebugRegisters& registers) {
  if (registers.flags != 0) return fail(Errno::kInval, "KVM_SET_DEBUGREGS has no flags");
  if (registers.dr6 >> 32U != 0 || registers.dr7 >> 32U != 0)
    return fail(Errno::kInval, "DR6 or DR7 has bits above 31");
  debug_ = registers;
  return {};
}

Result<void> VcpuState::lapic_state(std::span<std::byte> out) {
  if (!lapic_in_kernel_) return fail(Errno::kInval, "the vCPU has no local APIC of KVM's");
  vm_.interrupts().with_lapic(lapic_,
                              [out](Lapic& lapic, bool wide) { lapic.get_state(out, wide); });
  return {};
}

Result<void> VcpuState::set_lapic_state(std::span<const std::byte> in) {
  if (!lapic_in_kernel_) return fail(Errno::kInval, "the vCPU has no local APIC of KVM's");
  return vm_.interrupts().with_lapic(
      lapic_, [in](Lapic& lapic, bool wide) { return lapic.set_state(in, wide); });
}

/// __kvm_set_xcr().
Result<void> VcpuState::set_xcr0(std::uint64_t value) {
  if ((value & 1U) == 0) return fail(Errno::kInval, "XCR0 always has x87");
  if ((value & ~(cpuid_.xcr0_bits() | 1U)) != 0)
    return fail(Errno::kInval, "the vCPU's CPUID does not have the state component");
  xcr0_ = value;
  return {};
}

/// copy_uabi_to_xstate(): what is not in use keeps what it had.
Result<void> VcpuState::set_xsave(std::span<const std::byte> in) {
  const auto used = load<std::uint64_t>(in, kXstateBv);
  if ((used & ~kSupportedXcr0) != 0)
    return fail(Errno::kInval, "the state has a component that this host has not");
  const auto reserved = in.subspan(kXsaveReserved, kXsaveHeaderEnd - kXsaveReserved);
  if (!std::ranges::all_of(reserved, [](std::byte b) { return b == std::byte{0}; }))
    return fail(Errno::kInval, "a reserved byte of the XSAVE header is set");
  // Either component has MXCSR on its way in; out it comes with SSE.
  if (used != 0 && (load<std::uint32_t>(in, kMxcsr) & ~kMxcsrBits) != 0)
    return fail(Errno::kInval, "MXCSR has an unknown bit");
  copy_components(in, xsave_, used);
  if (used != 0) store<std::uint32_t>(xsave_, kMxcsr, load<std::uint32_t>(in, kMxcsr));
  store<std::uint64_t>(xsave_, kXstateBv, used);
  return {};
}

/// copy_xstate_to_uabi_buf().
std::array<std::byte, kXsaveSize> VcpuState::xsave() const {
  const auto used = load<std::uint64_t>(xsave_, kXstateBv);
  auto shown = initial_xsave();
  copy_components(xsave_, shown, used);
  store<std::uint64_t>(shown, kXstateBv, used);
  return shown;
}

/// kvm_arch_vcpu_ioctl_set_fpu().
void VcpuState::set_fxsave(std::span<const std::byte> in) {
  std::copy_n(in.begin(), kMxcsr, xsave_.begin());
  std::copy(in.begin() + kX87Registers, in.begin() + kXmmEnd, xsave_.begin() + kX87Registers);
}

Result<void> VcpuState::set_vapic_address(std::uint64_t address) {
  if (!lapic_in_kernel_) return fail(Errno::kInval, "the vCPU has no local APIC of KVM's");
  vapic_address_ = address;
  return {};
}

Result<void> VcpuState::set_mce(const MachineCheck& check) {
  TEEIO_ASSIGN(const Msrs::MceEffect effect, msrs_.set_mce(check, (cr4_ & kCr4Mce) != 0));
  constexpr std::uint8_t kMachineCheckVector = 18;
  if (effect == Msrs::MceEffect::kException) queue_exception(kMachineCheckVector);
  if (effect == Msrs::MceEffect::kTripleFault) events_.triple_fault_pending = 1;
  return {};
}

}  // namespace teeio::kvm::x86
