#pragma once

#include <array>
#include <map>
#include <optional>

#include "crypto/identity.h"
#include "firmware/sev/guest_message.h"
#include "firmware/sev/platform.h"

namespace teeio::sev {

/// Source: Linux include/linux/psp-sev.h.
inline constexpr std::uint16_t kSnpGuestRequest = 0x094;

/// Guest messages about the guest itself. Source: Linux asm/sev.h, enum msg_type.
inline constexpr std::uint8_t kReportRequest = 5;
inline constexpr std::uint8_t kReportResponse = 6;

/// ATTESTATION_REPORT, version 2. Source: SEV-SNP firmware ABI (56860) 1.55, 7.3 "Attestation";
/// each place and bit as in virtee/sev src/firmware/guest/types/snp.rs, AttestationReport, and
/// src/attestation/evidence/snp/fields/{key_info,platform_info}.rs. What an ID block would say
/// is zeros.
struct AttestationReport {
  static constexpr std::size_t kSize = 0x4a0;    ///< bytes
  static constexpr std::size_t kSigned = 0x2a0;  ///< of them the signature is over
  enum class SigningKey : std::uint8_t { kVcek = 0, kVlek = 1, kNone = 7 };
  std::uint64_t policy = 0;
  std::uint32_t vmpl = 0;
  std::array<std::byte, 64> report_data{};
  std::array<std::byte, 48> measurement{};
  std::array<std::byte, 32> host_data{};
  std::array<std::byte, 32> report_id{};
  std::uint64_t current_tcb = 0;
  std::uint64_t reported_tcb = 0;  ///< by which the key was chosen
  std::uint64_t committed_tcb = 0;
  std::uint64_t launch_tcb = 0;
  Chip::Id chip_id{};
  bool mask_chip_key = false;
  SigningKey signing_key = SigningKey::kVcek;

  /// What is signed.
  [[nodiscard]] Bytes encode() const;
  /// What a report says, whoever signed it. Errors: EINVAL for another size, version or
  /// algorithm.
  static Result<AttestationReport> decode(ByteView report);
  /// Errors: as decode(); EACCES when `vcek` has not signed it.
  static Result<AttestationReport> verify(ByteView report, const crypto::PublicKey& vcek);
};

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
