#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/result.h"

namespace teeio::kvm::x86 {

inline constexpr std::size_t kLapicStateSize = 0x400;  // KVM_APIC_REG_SIZE

// IA32_APIC_BASE. Source: Intel SDM vol. 3, 12.4.4.
inline constexpr std::uint64_t kApicBaseBsp = 1U << 8U;
inline constexpr std::uint64_t kApicBaseX2apic = 1U << 10U;
inline constexpr std::uint64_t kApicBaseEnable = 1U << 11U;
inline constexpr std::uint64_t kApicDefaultBase = 0xfee0'0000;

/// An interrupt on its way to local APICs (struct kvm_lapic_irq).
struct LapicIrq {
  enum class Delivery : std::uint8_t {
    kFixed = 0,
    kLowest = 1,
    kSmi = 2,
    kRemoteRead = 3,
    kNmi = 4,
    kInit = 5,
    kStartup = 6,
    kExternal = 7
  };
  /// Of an IPI: whom it reaches besides a destination.
  enum class Shorthand : std::uint8_t { kNone = 0, kSelf = 1, kAll = 2, kAllButSelf = 3 };
  std::uint32_t dest_id = 0;
  bool logical = false;
  bool level_triggered = false;
  Delivery delivery = Delivery::kFixed;
  std::uint8_t vector = 0;
  bool asserted = true;        ///< of level_triggered: up
  bool redirect_hint = false;  ///< an MSI's: to one of those that are addressed
  Shorthand shorthand = Shorthand::kNone;
};

/// How a local APIC's LDR is read (enum kvm_apic_logical_mode).
enum class LogicalMode : std::uint8_t { kNone, kFlat, kCluster, kX2apicCluster };

/// One vCPU's local APIC. An interrupt that it accepts is a bit of IRR: nothing takes it out
/// of there but KVM_SET_LAPIC.
/// Source: Linux arch/x86/kvm/lapic.c.
/// Locking: Interrupts' lock, which every access of another class takes.
class Lapic {
 public:
  Lapic(std::uint32_t vcpu_id, bool bsp);

  /// kvm_lapic_reset() at creation. `lint0_enabled`: KVM_X86_QUIRK_LINT0_REENABLED.
  void reset(bool lint0_enabled);

  [[nodiscard]] std::uint64_t base() const { return base_; }
  void set_base(std::uint64_t base);
  [[nodiscard]] bool x2apic() const { return (base_ & kApicBaseX2apic) != 0; }
  [[nodiscard]] std::uint32_t id() const { return id_; }

  /// kvm_apic_get_state() and kvm_apic_set_state(). `wide_ids`: KVM_X2APIC_API_USE_32BIT_IDS.
  /// Errors: EINVAL for another vCPU's x2APIC id.
  void get_state(std::span<std::byte> out, bool wide_ids) const;
  Result<void> set_state(std::span<const std::byte> in, bool wide_ids);

  /// What a write of a register asks of other chips.
  struct Write {
    bool known = false;               ///< there is such a register, and it takes the value
    std::optional<LapicIrq> ipi;      ///< to be delivered
    std::optional<std::uint8_t> eoi;  ///< the vector that was in service
  };
  /// KVM_GET_MSRS and KVM_SET_MSRS of 0x800 to 0x8ff; false outside of x2APIC mode and where
  /// there is no such register (kvm_x2apic_msr_read(), kvm_x2apic_msr_write()).
  [[nodiscard]] bool read_msr(std::uint32_t index, std::uint64_t& value) const;
  [[nodiscard]] Write write_msr(std::uint32_t index, std::uint64_t value);

  [[nodiscard]] std::uint8_t tpr() const { return static_cast<std::uint8_t>(reg(0x80) >> 4U); }
  void set_tpr(std::uint8_t cr8);
  /// kvm_apic_set_version(): whether the version register offers to suppress EOI broadcasts.
  void set_directed_eoi(bool offered);

  /// kvm_apic_match_dest() without a shorthand. `broadcast_quirk`: 0xff reaches x2APICs too.
  [[nodiscard]] bool matches(const LapicIrq& irq, bool broadcast_quirk) const;
  /// Whether software has switched it on, and it is not off by IA32_APIC_BASE.
  [[nodiscard]] bool enabled() const;
  [[nodiscard]] bool present() const { return (base_ & kApicBaseEnable) != 0; }
  [[nodiscard]] LogicalMode logical_mode() const;
  [[nodiscard]] std::uint32_t logical_id() const { return reg(0xd0); }
  [[nodiscard]] bool in_level_mode(std::uint8_t vector) const;
  /// kvm_apic_pending_eoi(): it is requested or in service.
  [[nodiscard]] bool has_pending(std::uint8_t vector) const;
  /// APIC_SPIV_DIRECTED_EOI
  [[nodiscard]] bool suppresses_eois() const;
  /// Whether IRR has something above the processor's priority (kvm_apic_has_interrupt()).
  [[nodiscard]] bool interrupt_due() const;
  /// __apic_accept_irq(): whether it is accepted.
  bool accept(const LapicIrq& irq);

  // What an interrupt left for the vCPU itself.
  [[nodiscard]] std::uint8_t take_nmis();
  [[nodiscard]] bool init_pending() const { return init_pending_; }
  void set_init_pending(bool pending) { init_pending_ = pending; }
  void set_sipi(std::uint8_t vector) { sipi_vector_ = vector; }
  [[nodiscard]] std::uint8_t sipi_vector() const { return sipi_vector_; }
  [[nodiscard]] bool sipi_pending() const { return sipi_pending_; }
  void set_sipi_pending(bool pending) { sipi_pending_ = pending; }

 private:
  [[nodiscard]] std::uint32_t reg(std::size_t offset) const;
  void set_reg(std::size_t offset, std::uint32_t value);
  void set_bit(std::size_t first, std::uint8_t vector, bool on);
  [[nodiscard]] bool bit(std::size_t first, std::uint8_t vector) const;
  /// The highest vector of a bitmap of registers; -1 without one.
  [[nodiscard]] int highest(std::size_t first) const;
  void update_priority();
  [[nodiscard]] std::optional<std::uint8_t> end_of_interrupt();
  [[nodiscard]] bool write_plain(std::size_t offset, std::uint32_t value);
  void write_spurious(std::uint32_t value);

  const std::uint32_t id_;
  std::uint64_t base_;
  std::array<std::byte, kLapicStateSize> regs_{};
  bool directed_eoi_ = false;
  std::uint8_t nmis_ = 0;
  bool init_pending_ = false;
  bool sipi_pending_ = false;
  std::uint8_t sipi_vector_ = 0;
};

}  // namespace teeio::kvm::x86
