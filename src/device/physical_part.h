#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "device/dsm.h"
#include "device/sriov_capability.h"
#include "hw/doe_mailbox.h"
#include "hw/ide_offer.h"

namespace teeio::device {

class TeeFunction;

/// What a TEE-I/O card's PF has beyond a VF: SR-IOV, a DOE mailbox, IDE, and the DSM.
///
/// Lifetime: owned by its TeeFunction. Locking: the card's lock; the mailbox has its own.
class PhysicalPart final : private hw::DoeHandler {
 public:
  struct Options {
    SriovCapability::Options sriov;
    unsigned ide_streams = 1;
    hw::IdeOffer ide{};
    std::uint64_t serial = 0;
    DsmSpdm spdm{};
    std::uint16_t doe_vector = 0;  ///< MSI-X vector of the mailbox
  };
  /// Adds its capabilities to `config`, the PF's.
  PhysicalPart(object::Trace& trace, TeeFunction& pf, hw::ConfigSpace& config,
               const Options& options);

  /// Only while constructing the card.
  void add_vf(TeeFunction& vf);
  [[nodiscard]] Dsm& dsm() { return dsm_; }
  /// As Endpoint's functions of these names; the first two without the card's lock.
  std::optional<std::uint32_t> read_special(std::uint16_t offset, unsigned size_bytes);
  bool write_special(std::uint16_t offset, unsigned size_bytes, std::uint32_t value);
  /// Registers of the mailbox and of IDE, which are no part of the PF's state but of the DSM's.
  [[nodiscard]] bool is_of_dsm(std::uint16_t offset) const {
    return doe_.contains(offset) || dsm_.is_about(offset);
  }
  [[nodiscard]] SriovCapability::Registers programmed() const { return sriov_.programmed(); }
  /// A configuration write was applied; `before` is what programmed() was.
  void written(std::uint16_t offset, unsigned size_bytes, std::uint32_t value,
               const SriovCapability::Registers& before);
  void reset(hw::ResetKind kind);
  [[nodiscard]] bool vf_answers(unsigned index) const { return sriov_.vf_answers(index); }
  [[nodiscard]] bool vf_in_place(unsigned index) const { return sriov_.in_place(index); }

 private:
  Bytes handle(ByteView object) override;
  [[nodiscard]] bool is_late() override;
  void mailbox_interrupt() override;

  TeeFunction& pf_;
  const std::uint16_t doe_vector_;
  SriovCapability sriov_;
  hw::DoeMailbox doe_;
  Dsm dsm_;
  std::vector<TeeFunction*> vfs_;
  bool gone_ = false;  ///< it answers no object any more
};

}  // namespace teeio::device
