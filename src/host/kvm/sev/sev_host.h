#pragma once

#include <functional>

#include "firmware/sev/attestation.h"
#include "host/kvm/sev/asids.h"
#include "host/kvm/sev/psp_host.h"

namespace teeio::kvm {

/// What SNP VMs of a machine share: the secure processor's driver and the ASIDs.
///
/// Lifetime: one a machine.
class SevHost {
 public:
  /// `endorsement`: the chip's certificates, as AMD's key distribution service gives them; empty:
  /// nobody has asked for them.
  SevHost(PspHost& psp, std::uint32_t asids,
          std::function<crypto::CertificateChain()> endorsement = {})
      : psp_(psp), endorsement_(std::move(endorsement)), asids_(asids, [this] {
          PspHost::Answer answer;
          return psp_.insist(sev::kSnpDfFlush, {}, answer);
        }) {}

  [[nodiscard]] PspHost& psp() { return psp_; }
  [[nodiscard]] Asids& asids() { return asids_; }
  /// What extended guest requests give: sev::certificate_table(), or a table of nothing.
  [[nodiscard]] Bytes certificates() const {
    constexpr std::size_t kEmptyEntry = 24;
    return endorsement_ ? sev::certificate_table(endorsement_()) : Bytes(kEmptyEntry);
  }

 private:
  PspHost& psp_;
  const std::function<crypto::CertificateChain()> endorsement_;
  Asids asids_;
};

}  // namespace teeio::kvm
