#include "host/kvm/x86/lapic.h"
#include "host/kvm/x86/lapic_registers.h"
#include "host/kvm/x86/msr_numbers.h"

// A local APIC's registers as x2APIC MSRs: what KVM_GET_MSRS and KVM_SET_MSRS reach.
// Source: Linux arch/x86/kvm/lapic.c, kvm_lapic_reg_read() and kvm_lapic_reg_write().

namespace teeio::kvm::x86 {
namespace {

using namespace apic;

/// kvm_lapic_readable_reg_mask() in x2APIC mode.
bool readable(std::size_t offset) {
  switch (offset) {
    case kId:
    case kVersion:
    case kTaskPriority:
    case kProcPriority:
    case kLdr:
    case kSpurious:
    case kErrorStatus:
    case kIcr:
    case kTimerDivide:
      return true;
    default:
      return (offset >= kIsr && offset < kErrorStatus) ||
             (offset >= kLvtTimer && offset <= kTimerCount);
  }
}

/// Bits of a local vector table entry that keep what is written (apic_lvt_mask[]).
std::uint32_t lvt_bits(std::size_t offset) {
  constexpr std::uint32_t kVectorPendingMask = 0x1'10ff;
  constexpr std::uint32_t kMode = 0x700;
  constexpr std::uint32_t kPin = 0xe000;  // polarity, remote IRR, trigger
  constexpr std::uint32_t kTimerModes = 3U << 17U;
  switch (offset) {
    case kLvtTimer:
      return kVectorPendingMask | kTimerModes;
    case kLvtThermal:
    case kLvtCounter:
      return kVectorPendingMask | kMode;
    case kLvt0:
    case kLvt1:
      return kVectorPendingMask | kMode | kPin;
    default:
      return kVectorPendingMask;
  }
}

/// kvm_icr_to_lapic_irq().
LapicIrq ipi_of(std::uint64_t icr) {
  return {
      .dest_id = static_cast<std::uint32_t>(icr >> 32U),
      .logical = (icr & 0x800U) != 0,
      .level_triggered = (icr & 0x8000U) != 0,
      .delivery = static_cast<LapicIrq::Delivery>((icr >> 8U) & 7U),
      .vector = static_cast<std::uint8_t>(icr),
      .asserted = (icr & 0x4000U) != 0,
      .shorthand = static_cast<LapicIrq::Shorthand>((icr >> 18U) & 3U),
  };
}

}  // namespace

bool Lapic::read_msr(std::uint32_t index, std::uint64_t& value) const {
  if (!x2apic()) return false;
  const std::size_t offset = std::size_t{index - msr::kX2apicFirst} << 4U;
  if (!readable(offset)) return false;
  value = reg(offset);
  if (offset == kIcr) value |= std::uint64_t{reg(kIcr2)} << 32U;
  return true;
}

Lapic::Write Lapic::write_msr(std::uint32_t index, std::uint64_t value) {
  constexpr std::uint64_t kIcrReserved = 0xfff3'2000;
  constexpr std::uint64_t kIcrBusy = 1U << 12U;
  if (!x2apic()) return {};
  const std::size_t offset = std::size_t{index - msr::kX2apicFirst} << 4U;
  if (offset == kIcr) {
    if ((value & kIcrReserved) != 0) return {};
    value &= ~kIcrBusy;
    set_reg(kIcr2, static_cast<std::uint32_t>(value >> 32U));
    set_reg(kIcr, static_cast<std::uint32_t>(value));
    return {.known = true, .ipi = ipi_of(value), .eoi = {}};
  }
  if (value >> 32U != 0) return {};
  if (offset == kEoi) return {.known = true, .ipi = {}, .eoi = end_of_interrupt()};
  if (offset == kSelfIpi) {
    if (value > 0xff) return {};
    LapicIrq irq{.vector = static_cast<std::uint8_t>(value)};
    irq.shorthand = LapicIrq::Shorthand::kSelf;
    return {.known = true, .ipi = irq, .eoi = {}};
  }
  return {.known = write_plain(offset, static_cast<std::uint32_t>(value)), .ipi = {}, .eoi = {}};
}

/// apic_set_eoi().
std::optional<std::uint8_t> Lapic::end_of_interrupt() {
  const int vector = highest(kIsr);
  if (vector < 0) return std::nullopt;
  set_bit(kIsr, static_cast<std::uint8_t>(vector), false);
  update_priority();
  return static_cast<std::uint8_t>(vector);
}

bool Lapic::write_plain(std::size_t offset, std::uint32_t value) {
  constexpr std::uint32_t kDeadlineMode = 2U << 17U;
  constexpr std::uint32_t kTimerMode = 3U << 17U;
  switch (offset) {
    case kTaskPriority:
      set_reg(offset, value & 0xffU);
      update_priority();
      return true;
    case kSpurious:
      write_spurious(value);
      return true;
    case kLvtTimer:
    case kLvtThermal:
    case kLvtCounter:
    case kLvt0:
    case kLvt1:
    case kLvtError:
      if (!enabled()) value |= kMasked;
      set_reg(offset, value & lvt_bits(offset));
      return true;
    case kTimerInitial:
      if ((reg(kLvtTimer) & kTimerMode) != kDeadlineMode) set_reg(offset, value);
      return true;
    case kTimerDivide:
      set_reg(offset, value & 0xbU);
      return true;
    case kErrorStatus:
      return value == 0;
    default:
      return false;
  }
}

void Lapic::write_spurious(std::uint32_t value) {
  const std::uint32_t suppress = (reg(kVersion) & kDirectedEoi) != 0 ? kSuppressEoi : 0;
  set_reg(kSpurious, value & (0x3ffU | suppress));
  if ((value & kSoftwareEnable) != 0) return;
  for (std::size_t lvt = kLvtTimer; lvt <= kLvtError; lvt += 0x10) set_reg(lvt, reg(lvt) | kMasked);
}

}  // namespace teeio::kvm::x86
