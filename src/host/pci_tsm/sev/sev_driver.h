#pragma once

#include <memory>
#include <vector>

#include "host/pci_tsm/cards.h"
#include "host/pci_tsm/driver.h"
#include "host/pci_tsm/sev/tio_dsm.h"
#include "hw/root_port.h"

namespace teeio::tsm {

/// AMD SEV-TIO's TSM driver. Source: Linux drivers/crypto/ccp/sev-dev-tsm.c for connect and
/// disconnect, the same file of AMDESE/linux-kvm for the rest.
///
/// bind ends CONFIG_LOCKED; RUN is the guest's wish. unbind: TDI_UNBIND, on failure with
/// FORCE, TDI_STATUS, TDI_RECLAIM, a look at the fence, which is lifted for a TDI that has
/// run, and then KVM's MMIO out and every page of the BARs shared. A device that has not
/// answered STOP_INTERFACE by then is told no more: it stays CONFIG_LOCKED, RUN or ERROR, and
/// its next bind is refused until a conventional reset, as with AMD's driver.
///
/// Guest requests: SET_TDI_STATE (u32 state): LOCKED of a locked TDI is no news, RUN starts
/// it, UNLOCKED unbinds it in firmware. READ_OBJECT (u32 object, u32 offset): 0 the report, 1
/// the evidence, 2 the certificates, 3 the measurements. REGEN_OBJECT (32-byte nonce) has the
/// device measured anew. OBJECT_INFO without a payload answers a u32 TDISP state.
/// OBJECT_INFO, VALIDATE_MMIO, SEV_ENABLE_DMA and SEV_DISABLE_DMA with one take a sealed guest
/// message and answer the firmware's. tsm_code is the firmware's status.
///
/// Lifetime: one a machine. Locking: a leaf lock over what is bound.
class SevDriver final : public Driver {
 public:
  SevDriver(kvm::PspHost& psp, std::vector<hw::RootPort*> ports)
      : psp_(psp), ports_(std::move(ports)) {}

  /// sev_tsm_init_locked(): TIO_STATUS, TIO_INIT, TIO_STATUS. Errors: ENOENT without SEV-TIO;
  /// EBUSY when it is initialised; the firmware's.
  Result<void> init();

  [[nodiscard]] std::string_view name() const override { return "sev"; }
  /// The secure processor is a PCI function that the machine does not have.
  [[nodiscard]] std::string_view platform_device() const override { return "platform/ccp"; }
  [[nodiscard]] TvmArch arch() const override { return TvmArch::kSev; }

  Result<void> connect(hw::PciFunction& pf0) override;
  void disconnect(hw::PciFunction& pf0) override;
  Result<void> refresh_keys(hw::PciFunction& pf0) override;
  Result<void> bind(hw::PciFunction& function, const Tdi& tdi, kvm::Vm& vm) override;
  void unbind(hw::PciFunction& function, const Tdi& tdi, kvm::Vm& vm,
              TeardownHandlers& handlers) override;
  GuestOutcome guest_request(hw::PciFunction& function, const Tdi& tdi, kvm::Vm& vm,
                             const GuestRequest& request) override;

 private:
  /// A connected card, with how far that got.
  struct Card {
    hw::PciFunction* pf0;
    hw::RootPort* port;
    std::uint8_t stream = 0;
    IdeStream* ide = nullptr;
    std::unique_ptr<TioDsm> dsm;
    Bytes certificates{};
    Bytes measurements{};
    bool created = false;
  };
  /// struct tio_tdi.
  struct Bound {
    Card* card;
    sev::Sla context;
    Hpa gctx;
    std::uint32_t asid;
    std::uint16_t guest_device_id;
    bool needs_unbind = true;
    bool unfence = false;  ///< it has run
    Bytes report{};
  };

  // connect.cc
  Result<void> connect_steps(Card& card);
  Result<void> take_stream(Card& card);
  void enable_streams(Card& card);
  Result<void> measure(Card& card, const std::array<std::byte, 32>& nonce);
  void undo_connect(Card& card);

  // bind.cc
  Result<void> bind_steps(Bound& bound);
  [[nodiscard]] static sev::TioOperands about(const Bound& bound);
  Result<std::uint32_t> tdi_state(const Bound& bound);
  void release(Bound& bound);
  void share_mmio(hw::PciFunction& function);

  // request.cc
  Result<void> set_state(Bound& bound, std::uint32_t state);
  Result<void> run(Bound& bound);
  Result<Bytes> message(Bound& bound, ByteView payload);
  Result<Bytes> object(const Bound& bound, ByteView payload);
  Result<Bytes> answer(Bound& bound, const GuestRequest& request);

  kvm::PspHost& psp_;
  const std::vector<hw::RootPort*> ports_;
  sev::TioStatus sizes_;
  Cards<Card> cards_;
  BoundFunctions<Bound> bound_;
};

}  // namespace teeio::tsm
