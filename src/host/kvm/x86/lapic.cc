#include "host/kvm/x86/lapic.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "host/kvm/x86/msr_numbers.h"

namespace teeio::kvm::x86 {
namespace {

// Registers. Source: Intel SDM vol. 3, table 12-1.
constexpr std::size_t kId = 0x20;
constexpr std::size_t kVersion = 0x30;
constexpr std::size_t kTaskPriority = 0x80;
constexpr std::size_t kProcPriority = 0xa0;
constexpr std::size_t kEoi = 0xb0;
constexpr std::size_t kLdr = 0xd0;
constexpr std::size_t kDfr = 0xe0;
constexpr std::size_t kSpurious = 0xf0;
constexpr std::size_t kTmr = 0x180;
constexpr std::size_t kIrr = 0x200;
constexpr std::size_t kIcr = 0x300;
constexpr std::size_t kIcr2 = 0x310;
constexpr std::size_t kLvtTimer = 0x320;
constexpr std::size_t kLvt0 = 0x350;
constexpr std::size_t kLvtError = 0x370;
constexpr std::size_t kTimerCount = 0x390;

constexpr std::uint32_t kMasked = 1U << 16U;
constexpr std::uint32_t kVersionValue = 0x14 | 5U << 16U;  // six LVT entries
constexpr std::uint32_t kExternalInterrupt = 7U << 8U;
constexpr std::uint8_t kMostNmis = 2;  // process_nmi()
constexpr std::uint32_t kSoftwareEnable = 1U << 8U;

/// kvm_apic_calc_x2apic_ldr().
std::uint32_t x2apic_ldr(std::uint32_t id) { return (id >> 4U) << 16U | 1U << (id & 15U); }

}  // namespace

Lapic::Lapic(std::uint32_t vcpu_id, bool bsp)
    : id_(vcpu_id), base_(kApicDefaultBase | kApicBaseEnable | (bsp ? kApicBaseBsp : 0)) {}

std::uint32_t Lapic::reg(std::size_t offset) const {
  std::uint32_t value = 0;
  std::memcpy(&value, regs_.data() + offset, sizeof value);
  return value;
}

void Lapic::set_reg(std::size_t offset, std::uint32_t value) {
  std::memcpy(regs_.data() + offset, &value, sizeof value);
}

void Lapic::set_bit(std::size_t first, std::uint8_t vector, bool on) {
  const std::size_t at = first + std::size_t{0x10} * (vector / 32U);
  const std::uint32_t bit = 1U << (vector % 32U);
  set_reg(at, on ? reg(at) | bit : reg(at) & ~bit);
}

void Lapic::reset(bool lint0_enabled) {
  regs_.fill(std::byte{0});
  set_reg(kId, id_ << 24U);
  set_reg(kVersion, kVersionValue);
  for (std::size_t lvt = kLvtTimer; lvt <= kLvtError; lvt += 0x10) set_reg(lvt, kMasked);
  if (lint0_enabled && (base_ & kApicBaseBsp) != 0) set_reg(kLvt0, kExternalInterrupt);
  set_reg(kDfr, 0xffff'ffff);
  set_reg(kSpurious, 0xff);
}

void Lapic::set_base(std::uint64_t base) {
  const std::uint64_t changed = base_ ^ base;
  base_ = base;
  if ((changed & kApicBaseX2apic) != 0 && x2apic()) {
    set_reg(kId, id_);
    set_reg(kLdr, x2apic_ldr(id_));
  } else if ((changed & (kApicBaseX2apic | kApicBaseEnable)) != 0 &&
             (base & kApicBaseEnable) != 0) {
    set_reg(kId, id_ << 24U);
  }
}

void Lapic::get_state(std::span<std::byte> out, bool wide_ids) const {
  std::ranges::copy(regs_, out.begin());
  const std::uint32_t none = 0;
  std::memcpy(out.data() + kTimerCount, &none, sizeof none);  // no timer runs
  if (!x2apic() || wide_ids) return;
  const std::uint32_t id = id_ << 24U;
  std::memcpy(out.data() + kId, &id, sizeof id);
}

Result<void> Lapic::set_state(std::span<const std::byte> in, bool wide_ids) {
  std::array<std::byte, kLapicStateSize> state;
  std::copy_n(in.begin(), state.size(), state.begin());
  if (x2apic()) {
    std::uint32_t id = 0;
    std::memcpy(&id, state.data() + kId, sizeof id);
    if (wide_ids && id != id_) return fail(Errno::kInval, "the x2APIC id is another vCPU's");
    const std::uint32_t ldr = x2apic_ldr(id_);
    std::memcpy(state.data() + kId, &id_, sizeof id_);
    std::memcpy(state.data() + kLdr, &ldr, sizeof ldr);
  }
  regs_ = state;
  set_reg(kVersion, kVersionValue);
  set_reg(kProcPriority, reg(kTaskPriority));
  set_reg(kTimerCount, 0);
  return {};
}

bool Lapic::read_msr(std::uint32_t index, std::uint64_t& value) const {
  if (!x2apic()) return false;
  const std::size_t offset = std::size_t{index - msr::kX2apicFirst} << 4U;
  if (offset >= kLapicStateSize || offset == kDfr || offset == kIcr2 || offset == kEoi)
    return false;
  value = reg(offset);
  if (offset == kIcr) value |= std::uint64_t{reg(kIcr2)} << 32U;
  return true;
}

bool Lapic::write_msr(std::uint32_t index, std::uint64_t value) {
  if (!x2apic()) return false;
  const std::size_t offset = std::size_t{index - msr::kX2apicFirst} << 4U;
  if (offset == kIcr) {
    set_reg(kIcr2, static_cast<std::uint32_t>(value >> 32U));
    set_reg(kIcr, static_cast<std::uint32_t>(value));
    return true;
  }
  const bool writable = offset == kTaskPriority || offset == kSpurious ||
                        (offset >= kLvtTimer && offset <= 0x380) || offset == 0x3e0;
  if (!writable || value >> 32U != 0) return false;
  set_reg(offset, static_cast<std::uint32_t>(value));
  return true;
}

bool Lapic::enabled() const {
  return (base_ & kApicBaseEnable) != 0 && (reg(kSpurious) & kSoftwareEnable) != 0;
}

bool Lapic::matches(const LapicIrq& irq, bool broadcast_quirk) const {
  constexpr std::uint32_t kAll = 0xff, kAllX2apic = 0xffff'ffff;
  const bool narrow = !x2apic() || broadcast_quirk;
  if ((narrow && irq.dest_id == kAll) || (x2apic() && irq.dest_id == kAllX2apic)) return true;
  if (!irq.logical) return irq.dest_id == id_;
  if (x2apic()) {
    const std::uint32_t ldr = reg(kLdr);
    return ldr >> 16U == irq.dest_id >> 16U && (ldr & irq.dest_id & 0xffffU) != 0;
  }
  const std::uint32_t ldr = reg(kLdr) >> 24U;
  if (reg(kDfr) == 0xffff'ffff) return (ldr & irq.dest_id) != 0;  // flat
  return ldr >> 4U == irq.dest_id >> 4U && (ldr & irq.dest_id & 15U) != 0;
}

bool Lapic::interrupt_due() const {
  if (!enabled()) return false;
  for (unsigned word = 8; word-- > 0;) {
    const std::uint32_t requests = reg(kIrr + std::size_t{0x10} * word);
    if (requests == 0) continue;
    const unsigned vector = 32 * word + 31 - static_cast<unsigned>(std::countl_zero(requests));
    return (vector & 0xf0U) > (reg(kProcPriority) & 0xf0U);
  }
  return false;
}

bool Lapic::accept(const LapicIrq& irq) {
  switch (irq.delivery) {
    case LapicIrq::Delivery::kFixed:
    case LapicIrq::Delivery::kLowest:
      if (!enabled()) return false;
      set_bit(kTmr, irq.vector, irq.level_triggered);
      set_bit(kIrr, irq.vector, true);
      return true;
    case LapicIrq::Delivery::kNmi:
      nmis_ = std::min<std::uint8_t>(kMostNmis, static_cast<std::uint8_t>(nmis_ + 1));
      return true;
    case LapicIrq::Delivery::kInit:
      init_pending_ = true;
      sipi_pending_ = false;
      return true;
    case LapicIrq::Delivery::kStartup:
      sipi_vector_ = irq.vector;
      sipi_pending_ = true;
      return true;
    case LapicIrq::Delivery::kSmi:       // no system management mode
    case LapicIrq::Delivery::kExternal:  // through the PIC's own pin only
      return false;
  }
  return false;
}

std::uint8_t Lapic::take_nmis() { return std::exchange(nmis_, std::uint8_t{0}); }

}  // namespace teeio::kvm::x86
