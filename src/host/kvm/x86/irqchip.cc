#include "host/kvm/x86/irqchip.h"

namespace teeio::kvm::x86 {
namespace {

constexpr std::uint64_t kMasked = 1ULL << 16U;
constexpr std::uint64_t kLevel = 1ULL << 15U;
constexpr std::uint64_t kRemoteIrr = 1ULL << 14U;
constexpr std::uint64_t kLogical = 1ULL << 11U;

/// The priority of the strongest request in `mask`; 8 without one.
unsigned priority_of(const PicState& chip, unsigned mask) {
  if (mask == 0) return 8;
  unsigned priority = 0;
  while ((mask & (1U << ((priority + chip.priority_add) & 7U))) == 0) ++priority;
  return priority;
}

/// pic_set_irq1().
int set_pin(PicState& chip, unsigned pin, bool level) {
  const auto bit = static_cast<std::uint8_t>(1U << pin);
  const auto without = static_cast<std::uint8_t>(~bit);
  int fresh = 1;
  if ((chip.elcr & bit) != 0) {
    if (level) {
      fresh = (chip.irr & bit) == 0 ? 1 : 0;
      chip.irr |= bit;
      chip.last_irr |= bit;
    } else {
      chip.irr &= without;
      chip.last_irr &= without;
    }
  } else if (level) {
    if ((chip.last_irr & bit) == 0) {
      fresh = (chip.irr & bit) == 0 ? 1 : 0;
      chip.irr |= bit;
    }
    chip.last_irr |= bit;
  } else {
    chip.last_irr &= without;
  }
  return (chip.imr & bit) != 0 ? -1 : fresh;
}

}  // namespace

Pic::Pic() {
  chips_[0].elcr_mask = 0xf8;
  chips_[1].elcr_mask = 0xde;
}

void Pic::set_state(unsigned chip, const PicState& state) {
  chips_.at(chip) = state;
  update();
}

int Pic::pending(unsigned chip) const {
  const PicState& state = chips_.at(chip);
  const unsigned priority = priority_of(state, state.irr & ~unsigned{state.imr});
  if (priority == 8) return -1;
  unsigned in_service = state.isr;
  constexpr unsigned kCascade = 2;
  if (state.special_fully_nested_mode != 0 && chip == 0) in_service &= ~(1U << kCascade);
  if (priority >= priority_of(state, in_service)) return -1;
  return static_cast<int>((priority + state.priority_add) & 7U);
}

void Pic::update() {
  if (pending(1) >= 0) {
    (void)set_pin(chips_[0], 2, true);
    (void)set_pin(chips_[0], 2, false);
  }
  output_ = pending(0) >= 0;
}

int Pic::set_irq(unsigned pin, bool level) {
  const int result = set_pin(chips_.at(pin / 8), pin % 8, level);
  update();
  return result;
}

Ioapic::Ioapic() { state_.redirtbl.fill(kMasked); }

IoapicState Ioapic::state() const {
  IoapicState state = state_;
  state.irr &= ~delivered_;
  return state;
}

void Ioapic::set_state(const IoapicState& state, LapicBus& bus) {
  state_ = state;
  state_.irr = 0;
  delivered_ = 0;
  for (unsigned pin = 0; pin < kIoapicPins; ++pin)
    if ((state.irr & (1U << pin)) != 0) (void)set_irq(pin, true, bus);
}

int Ioapic::set_irq(unsigned pin, bool level, LapicBus& bus) {
  const std::uint32_t bit = 1U << pin;
  if (!level) {
    state_.irr &= ~bit;
    return 1;
  }
  const bool was_set = (state_.irr & bit) != 0;
  state_.irr |= bit;
  if ((state_.redirtbl.at(pin) & kLevel) == 0) {
    delivered_ &= ~bit;
    if (was_set) return 0;
  }
  return service(pin, bus);
}

int Ioapic::service(unsigned pin, LapicBus& bus) {
  std::uint64_t& entry = state_.redirtbl.at(pin);
  const bool level = (entry & kLevel) != 0;
  if ((entry & kMasked) != 0 || (level && (entry & kRemoteIrr) != 0)) return -1;
  const int result = bus.deliver({
      .dest_id = static_cast<std::uint32_t>(entry >> 56U),
      .logical = (entry & kLogical) != 0,
      .level_triggered = level,
      .delivery = static_cast<LapicIrq::Delivery>((entry >> 8U) & 7U),
      .vector = static_cast<std::uint8_t>(entry),
  });
  if (!level) delivered_ |= 1U << pin;
  if (level && result != 0) entry |= kRemoteIrr;
  return result;
}

void Ioapic::end_of_interrupt(std::uint8_t vector, bool level_mode, LapicBus& bus) {
  for (unsigned pin = 0; pin < kIoapicPins; ++pin) {
    std::uint64_t& entry = state_.redirtbl.at(pin);
    if (static_cast<std::uint8_t>(entry) != vector) continue;
    bus.acknowledged(pin);
    if (!level_mode) continue;
    entry &= ~kRemoteIrr;
    if ((entry & kMasked) == 0 && (state_.irr & (1U << pin)) != 0) (void)service(pin, bus);
  }
}

}  // namespace teeio::kvm::x86
