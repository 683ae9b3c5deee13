#pragma once

#include <array>
#include <cstdint>

#include "host/kvm/x86/lapic.h"

namespace teeio::kvm::x86 {

inline constexpr unsigned kPicPins = 16;
inline constexpr unsigned kIoapicPins = 24;

/// struct kvm_pic_state, as values and in its order.
struct PicState {
  std::uint8_t last_irr = 0, irr = 0, imr = 0, isr = 0;
  std::uint8_t priority_add = 0, irq_base = 0, read_reg_select = 0, poll = 0;
  std::uint8_t special_mask = 0, init_state = 0, auto_eoi = 0, rotate_on_auto_eoi = 0;
  std::uint8_t special_fully_nested_mode = 0, init4 = 0, elcr = 0, elcr_mask = 0;
};

/// The two 8259s. Source: Linux arch/x86/kvm/i8259.c.
/// Locking: Interrupts' lock.
class Pic {
 public:
  Pic();
  [[nodiscard]] const PicState& state(unsigned chip) const { return chips_.at(chip); }
  void set_state(unsigned chip, const PicState& state);
  /// kvm_pic_set_irq(): 1 a new request, 0 one that was there already, -1 masked.
  int set_irq(unsigned pin, bool level);
  /// Whether the first chip asks for an interrupt.
  [[nodiscard]] bool output() const { return output_; }

 private:
  void update();
  [[nodiscard]] int pending(unsigned chip) const;

  std::array<PicState, 2> chips_{};
  bool output_ = false;
};

/// struct kvm_ioapic_state, as values and in its order.
struct IoapicState {
  std::uint64_t base_address = 0xfec0'0000;
  std::uint32_t ioregsel = 0;
  std::uint32_t id = 0;
  std::uint32_t irr = 0;
  std::uint32_t pad = 0;
  std::array<std::uint64_t, kIoapicPins> redirtbl{};
};

/// Who takes what an I/O APIC sends.
class LapicBus {
 public:
  virtual ~LapicBus() = default;
  /// kvm_irq_delivery_to_apic(): how many took it; -1 when none is addressed.
  virtual int deliver(const LapicIrq& irq) = 0;
  /// kvm_notify_acked_irq(): the guest is done with what this pin of the I/O APIC sent.
  virtual void acknowledged(unsigned pin) = 0;
};

/// The I/O APIC. Source: Linux arch/x86/kvm/ioapic.c.
/// Locking: Interrupts' lock.
class Ioapic {
 public:
  Ioapic();
  /// kvm_get_ioapic(): an edge that was delivered is no request any more.
  [[nodiscard]] IoapicState state() const;
  /// kvm_set_ioapic(): requests are served anew.
  void set_state(const IoapicState& state, LapicBus& bus);
  /// kvm_ioapic_set_irq(), ioapic_set_irq().
  int set_irq(unsigned pin, bool level, LapicBus& bus);
  /// kvm_ioapic_update_eoi(): a local APIC has ended `vector`.
  void end_of_interrupt(std::uint8_t vector, bool level_mode, LapicBus& bus);

 private:
  int service(unsigned pin, LapicBus& bus);

  IoapicState state_;
  std::uint32_t delivered_ = 0;
};

}  // namespace teeio::kvm::x86
