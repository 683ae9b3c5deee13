#pragma once

#include <map>
#include <optional>

#include "crypto/identity.h"
#include "firmware/sev/guest_message.h"
#include "firmware/sev/platform.h"
#include "wire/snp_report.h"

namespace teeio::sev {

/// Source: Linux include/linux/psp-sev.h.
inline constexpr std::uint16_t kSnpGuestRequest = 0x094;

/// Guest messages about the guest itself. Source: Linux asm/sev.h, enum msg_type.
inline constexpr std::uint8_t kReportRequest = 5;
inline constexpr std::uint8_t kReportResponse = 6;

/// Version 2 is made here.
using AttestationReport = wire::SnpReport;

/// SNP_GUEST_REQUEST: what a guest asks of its firmware about itself. MSG_REPORT_REQ is
/// answered; keys, migration and TSC messages are refused with INVALID_PARAM.
///
/// Reports are signed by the chip's VCEK, a P-384 key of the TCB version that SNP_CONFIG has
/// chosen. Below an ARK and an ASK of the machine's own, which stand for AMD's, it has a
/// certificate with the extensions of AMD's (57230, 3.1). There is no VLEK.
///
/// Lifetime: as the platform. Locking: inside of the platform's command; what others ask has
/// the platform's mutex.
class Attestation {
 public:
  explicit Attestation(Platform& platform);

  /// Root (ARK), intermediate (ASK) and VCEK of the chip and the reported TCB version: what
  /// AMD's key distribution service tells to whoever asks for them. Not a command.
  [[nodiscard]] crypto::CertificateChain endorsement();

 private:
  Status guest_request(Call& call);
  Bytes report_answer(const GuestContext& guest, const GuestMessage& request);
  [[nodiscard]] AttestationReport report_of(const GuestContext& guest);
  const crypto::Identity& vcek();

  Platform& platform_;
  std::optional<crypto::Pki> authority_;
  std::map<std::uint64_t, crypto::Identity> vceks_;  ///< by TCB version
};

/// Certificates as an extended guest request gives them: entries of GUID, offset and length, an
/// empty one, and the certificates in DER. Source: GHCB specification (56421), "SNP Extended
/// Guest Request"; GUIDs as in AMDESE/sev-guest cert-table.c. Precondition: ARK, ASK, VCEK.
[[nodiscard]] Bytes certificate_table(const crypto::CertificateChain& endorsement);

}  // namespace teeio::sev
