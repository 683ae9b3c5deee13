#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/result.h"
#include "firmware/sev/tio_operands.h"
#include "host/kvm/sev/psp_host.h"
#include "hw/pci_function.h"

namespace teeio::tsm {

/// A card's part of SEV-TIO in the host: its device context, the buffers of its exchanges,
/// and the loop around commands that talk to it.
/// Source: AMDESE/linux-kvm drivers/crypto/ccp/sev-dev-tio.c.
///
/// Lifetime: from connect to disconnect. Locking: the DSM's lock.
class TioDsm {
 public:
  TioDsm(kvm::PspHost& psp, hw::PciFunction& pf0, const sev::TioStatus& sizes)
      : psp_(psp), pf0_(pf0), sizes_(sizes) {}
  TioDsm(const TioDsm&) = delete;
  TioDsm& operator=(const TioDsm&) = delete;
  ~TioDsm();

  /// Pages of the device context and of guest requests, and the SPDM buffers.
  /// Errors: ENOMEM; EFAULT.
  Result<void> alloc();

  /// A command with this card's context and buffers. Those that talk to the device are issued
  /// until they are over. Errors: ENOMEM; EIO for the firmware's refusal; EFAULT for an
  /// expansion that is none; the mailbox's.
  Result<void> command(sev::TioCommand command, sev::TioOperands in = {});
  /// The same for what must go through: again while the firmware says RESOURCE_LIMIT.
  Result<void> insist(sev::TioCommand command, sev::TioOperands in = {});
  /// The firmware's last word (psp_ret).
  [[nodiscard]] sev::Status status() const { return status_; }

  /// Data of the output's object, if it is one of those: tio_save_output(). Empty else.
  [[nodiscard]] Bytes output(sev::DataObject::Id id) const;
  /// What a command wrote into the data page.
  [[nodiscard]] Bytes data(std::size_t size_bytes) const;

  /// A page or more that become a TDI's context. Errors: as alloc().
  Result<sev::Sla> alloc_tdi_context();
  void free_tdi_context(sev::Sla sla);

  /// The request page, filled, and what is in the response page afterwards.
  Result<void> put_guest_request(ByteView message);
  [[nodiscard]] Bytes guest_response() const;

 private:
  Result<sev::Sla> alloc_sla(std::size_t bytes, bool firmware);
  void free_sla(sev::Sla& sla, bool firmware);
  Result<void> issue(sev::TioCommand command, const sev::TioOperands& in, bool begun);
  Result<bool> expand(sev::Sla& sla);
  Result<void> expand_buffers();
  Result<void> carry();
  Result<void> put_answer(std::uint8_t type, Bytes data);

  kvm::PspHost& psp_;
  hw::PciFunction& pf0_;
  const sev::TioStatus sizes_;
  sev::Status status_ = sev::Status::kSuccess;
  bool insisting_ = false;
  sev::Sla context_;
  sev::TioOperands::Spdm spdm_;
  Hpa data_page_{0};
  Hpa request_page_{0};
  Hpa response_page_{0};
};

}  // namespace teeio::tsm
