#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "device/dma_function.h"
#include "device/dsm.h"
#include "device/sriov_capability.h"
#include "hw/doe_mailbox.h"

namespace teeio::device {

/// The card's PF: a DMA function with SR-IOV, a DOE mailbox, IDE, and the DSM.
///
/// Lifetime: owned by DmaEngineCard. Locking: the card's lock; the mailbox has its own.
class DmaPhysicalFunction final : public DmaFunction, private hw::DoeHandler {
 public:
  struct Capabilities {
    SriovCapability::Options sriov;
    unsigned ide_streams = 1;
    std::uint64_t serial = 0;
    DsmSpdm spdm{};
  };
  DmaPhysicalFunction(object::Trace& trace, schedule::RwMutex& card_lock, const Role& role,
                      const Capabilities& capabilities);

  /// Only while constructing the card.
  void add_vf(DmaFunction& vf);
  [[nodiscard]] Dsm& dsm() { return dsm_; }

 private:
  Bytes handle(ByteView object) override;
  [[nodiscard]] bool is_late() override;
  void mailbox_interrupt() override { fire(kDoeVector); }
  std::optional<std::uint32_t> read_special(std::uint16_t offset, unsigned size_bytes) override;
  bool write_special(std::uint16_t offset, unsigned size_bytes, std::uint32_t value) override;
  void apply_write(std::uint16_t offset, unsigned size_bytes, std::uint32_t value) override;
  void on_reset(hw::ResetKind kind) override;
  [[nodiscard]] bool vf_answers(unsigned index) const override { return sriov_.vf_answers(index); }
  [[nodiscard]] bool vf_in_place(unsigned index) const override { return sriov_.in_place(index); }

  SriovCapability sriov_;
  hw::DoeMailbox doe_;
  Dsm dsm_;
  std::vector<DmaFunction*> vfs_;
  bool gone_ = false;  ///< it answers no object any more
};

}  // namespace teeio::device
