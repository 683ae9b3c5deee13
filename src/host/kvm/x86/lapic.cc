#include "host/kvm/x86/lapic.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "host/kvm/x86/lapic_registers.h"

namespace teeio::kvm::x86 {
namespace {

using namespace apic;

constexpr std::uint32_t kVersionValue = 0x14 | 5U << 16U;  // six LVT entries
constexpr std::uint32_t kExternalInterrupt = 7U << 8U;
constexpr std::uint8_t kMostNmis = 2;  // process_nmi()

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

bool Lapic::bit(std::size_t first, std::uint8_t vector) const {
  return (reg(first + std::size_t{0x10} * (vector / 32U)) >> (vector % 32U) & 1U) != 0;
}

int Lapic::highest(std::size_t first) const {
  for (unsigned word = 8; word-- > 0;)
    if (const std::uint32_t bits = reg(first + std::size_t{0x10} * word); bits != 0)
      return static_cast<int>(32 * word) + 31 - std::countl_zero(bits);
  return -1;
}

/// __apic_update_ppr().
void Lapic::update_priority() {
  const std::uint32_t task = reg(kTaskPriority) & 0xffU;
  const std::uint32_t service = static_cast<std::uint32_t>(std::max(highest(kIsr), 0)) & 0xf0U;
  set_reg(kProcPriority, (task & 0xf0U) >= service ? task : service);
}

void Lapic::set_tpr(std::uint8_t cr8) {
  set_reg(kTaskPriority, std::uint32_t{cr8 & 15U} << 4U);
  update_priority();
}

void Lapic::set_directed_eoi(bool offered) {
  directed_eoi_ = offered;
  set_reg(kVersion, kVersionValue | (offered ? kDirectedEoi : 0));
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
  set_directed_eoi(directed_eoi_);
  update_priority();
  set_reg(kTimerCount, 0);
  return {};
}

bool Lapic::enabled() const { return present() && (reg(kSpurious) & kSoftwareEnable) != 0; }

bool Lapic::in_level_mode(std::uint8_t vector) const { return bit(kTmr, vector); }

bool Lapic::has_pending(std::uint8_t vector) const {
  return bit(kIrr, vector) || bit(kIsr, vector);
}

bool Lapic::suppresses_eois() const { return (reg(kSpurious) & kSuppressEoi) != 0; }

LogicalMode Lapic::logical_mode() const {
  if (!enabled() || reg(kLdr) == 0) return LogicalMode::kNone;
  if (x2apic()) return LogicalMode::kX2apicCluster;
  return reg(kDfr) == kFlat ? LogicalMode::kFlat : LogicalMode::kCluster;
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
  if (reg(kDfr) == kFlat) return (ldr & irq.dest_id) != 0;  // flat
  return ldr >> 4U == irq.dest_id >> 4U && (ldr & irq.dest_id & 15U) != 0;
}

bool Lapic::interrupt_due() const {
  if (!enabled()) return false;
  const int vector = highest(kIrr);
  return vector >= 0 && (static_cast<unsigned>(vector) & 0xf0U) > (reg(kProcPriority) & 0xf0U);
}

bool Lapic::accept(const LapicIrq& irq) {
  switch (irq.delivery) {
    case LapicIrq::Delivery::kFixed:
    case LapicIrq::Delivery::kLowest:
      if (!enabled() || (irq.level_triggered && !irq.asserted)) return false;
      set_bit(kTmr, irq.vector, irq.level_triggered);
      set_bit(kIrr, irq.vector, true);
      return true;
    case LapicIrq::Delivery::kNmi:
      nmis_ = std::min<std::uint8_t>(kMostNmis, static_cast<std::uint8_t>(nmis_ + 1));
      return true;
    case LapicIrq::Delivery::kRemoteRead:  // pv_unhalted, which nobody waits for
      return true;
    case LapicIrq::Delivery::kInit:
      if (irq.level_triggered && !irq.asserted) return false;
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
