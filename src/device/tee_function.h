#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "device/bar_targets.h"
#include "device/endpoint.h"
#include "device/mmio_layout.h"
#include "device/physical_part.h"
#include "device/report_options.h"
#include "device/tdi.h"
#include "hw/intx.h"
#include "hw/msi.h"
#include "hw/msix.h"

namespace teeio::device {

/// One function of a TEE-I/O card: a TDI with a register BAR and MSI-X, PF or VF. What the
/// registers do is the card's model's.
///
/// BAR0 has the registers; BAR4 the MSI-X table, and the PBA in a page of its own. Further
/// BARs are plain memory, which the model answers.
///
/// Lifetime: owned by its TeeCard. Locking: the card's lock.
class TeeFunction : public Endpoint, protected TdiFunction, private RegisterFunction {
 public:
  static constexpr std::uint8_t kRegisterBar = 0;
  static constexpr std::uint8_t kMsixBar = 4;
  static constexpr std::uint64_t kMsixBytes = 8 * 1024;
  static constexpr std::uint32_t kPbaOffset = 0x1000;

  struct Role {
    Bdf bdf;
    hw::Identity identity;
    std::array<hw::Bar, hw::kBarCount> bars;
    std::uint16_t vectors = 1;  ///< of MSI-X
    unsigned msi_vectors = 0;   ///< 0: it has no MSI
    bool intx = false;          ///< it has a pin; never a VF
    Hpa rom{0};                 ///< as Endpoint::Options has it; never a VF
    std::uint64_t rom_bytes = 0;
    std::string_view rom_text{};
    TeeFunction* pf = nullptr;  ///< nullptr: this is the PF
    bool bars_move = false;     ///< they answer, and are reported, where their registers say
    ReportOptions report{};     ///< its ranges cover the BARs that they name, but not kMsixBar
    unsigned pasid_bits = 0;    ///< of a PF, and so of its VFs; 0: no PASID capability
  };
  TeeFunction(object::Trace& trace, schedule::Monitor& card_lock, const Role& role);

  [[nodiscard]] hw::PciFunction* physical_function() override { return pf_; }
  [[nodiscard]] hw::MmioTarget* private_bar(std::size_t number) override;
  [[nodiscard]] Tdi& tdi() { return tdi_; }
  [[nodiscard]] const Tdi& tdi() const { return tdi_; }
  [[nodiscard]] const MmioLayout& layout() const { return layout_; }

  [[nodiscard]] bool memory_enabled() const override;
  /// Something outside of this function's config space changed what it answers.
  void refresh_enabled();
  /// Raises the interrupt by the type that software has switched on. A message goes out if
  /// bus mastering allows any; MSI-X's has T=1 in RUN under LOCK_MSIX.
  void fire(std::uint16_t vector);
  /// Vectors, a bit each, of which INTx says that they came, until they are acknowledged.
  [[nodiscard]] std::uint32_t causes() const { return intx_ ? intx_->causes() : 0; }
  void acknowledge(std::uint32_t causes);
  using Endpoint::reset_locked;  // a reset of the PF takes its VFs along

  /// Gives the PF what a PF has. Once, while constructing the card.
  void make_physical(const PhysicalPart::Options& options);
  /// Precondition: make_physical() was called.
  [[nodiscard]] PhysicalPart& physical() { return *physical_; }

 protected:
  /// A BAR as the model lists them.
  static hw::Bar make_bar(Hpa base, std::uint64_t size, bool prefetchable = false);
  /// An access to the register BAR that the TDI answers.
  virtual void register_read(std::uint64_t offset, std::span<std::byte> out) = 0;
  virtual void register_write(std::uint64_t offset, ByteView in) = 0;
  /// Memory requests with that T bit may be issued now.
  [[nodiscard]] bool may_issue_now(hw::TBit t) const;
  using Space = std::optional<hw::Pasid>;  ///< none: a request without PASID
  /// Whether requests of that PASID may be issued: the capability is there and enabled, and
  /// has so many.
  [[nodiscard]] bool may_name(hw::Pasid pasid) const;
  Result<void> issue_read(hw::TBit t, Iova address, std::span<std::byte> out, Space space = {});
  Result<void> issue_write(hw::TBit t, Iova address, ByteView in, Space space = {});

  [[nodiscard]] CardPart part_of(std::uint16_t offset) const override;
  void touch_tdi(schedule::Touch::How how) const override { touch(CardPart::kFunction, how); }
  void apply_write(std::uint16_t offset, unsigned size_bytes, std::uint32_t value) override;
  void on_reset(hw::ResetKind kind) override;
  void on_attach() override;
  [[nodiscard]] std::optional<std::string_view> configuration_fault() const override;

  object::Trace& events() { return trace_; }
  /// memory_enabled(), for BARs that take no card lock.
  [[nodiscard]] const schedule::Word<bool>& enabled() const { return enabled_; }

 private:
  std::optional<std::uint32_t> read_special(std::uint16_t offset, unsigned size_bytes) override;
  bool write_special(std::uint16_t offset, unsigned size_bytes, std::uint32_t value) override;
  /// Of a VF, from 0: they follow their PF at consecutive requester IDs.
  [[nodiscard]] unsigned vf_index() const { return bdf().rid() - pf_->bdf().rid() - 1U; }
  // TdiFunction
  [[nodiscard]] std::vector<wire::TdispMmioRange> mmio_ranges(bool msix_locked) const override;
  [[nodiscard]] std::uint16_t msix_message_control() const override;
  [[nodiscard]] const ReportOptions& report_options() const override { return report_; }
  // RegisterFunction
  void bar_read(std::uint8_t bar, hw::TBit t, std::uint64_t offset,
                std::span<std::byte> out) override;
  void bar_write(std::uint8_t bar, hw::TBit t, std::uint64_t offset, ByteView in) override;

  [[nodiscard]] bool answers(std::uint8_t bar, hw::TBit t, std::uint64_t offset,
                             std::uint64_t size) const;
  /// MSI-X or MSI is on.
  [[nodiscard]] bool sends_messages() const;
  /// A pin speaks while neither kind of message is on, and the function is awake.
  void update_intx();
  /// Before anything that may send a message, also one that has waited behind a mask: it is as
  /// trusted as the TDI is when it leaves.
  void choose_traffic();

  /// The BARs as accesses with one T bit see them.
  struct Path {
    RegisterTarget registers;
    RegisterTarget msix;
  };

  TeeFunction* const pf_;
  const unsigned pasid_bits_;
  std::uint16_t pasid_ = 0;  ///< offset of the PASID capability, 0: none
  const ReportOptions report_;
  const MmioLayout layout_;
  Tdi tdi_;
  hw::Msix msix_;
  std::optional<hw::Msi> msi_;
  std::optional<hw::Intx> intx_;
  bool was_enabled_ = true;       ///< memory_enabled() when last looked at
  schedule::Word<bool> enabled_;  ///< the same, for BARs that take no card lock
  Path shared_;
  Path trusted_;
  std::unique_ptr<PhysicalPart> physical_;  ///< of a PF
};

}  // namespace teeio::device
