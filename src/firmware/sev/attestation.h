#pragma once

#include <array>
#include <optional>
#include <span>

#include "crypto/keys.h"
#include "firmware/sev/guest_message.h"
#include "firmware/sev/platform.h"

namespace teeio::sev {

/// Source: Linux include/linux/psp-sev.h.
inline constexpr std::uint16_t kSnpGuestRequest = 0x094;

/// Guest messages about the guest itself. Source: Linux asm/sev.h, enum msg_type.
inline constexpr std::uint8_t kReportRequest = 5;
inline constexpr std::uint8_t kReportResponse = 6;

/// ATTESTATION_REPORT, version 2, as far as the model knows what it says. Source: SEV-SNP
/// firmware ABI (56860) 1.55, 7.3 "Attestation"; Linux Documentation/virt/coco/sev-guest.rst.
struct AttestationReport {
  static constexpr std::size_t kSize = 0x4a0;    ///< bytes
  static constexpr std::size_t kSigned = 0x2a0;  ///< of them the signature is over
  std::uint64_t policy = 0;
  std::uint32_t vmpl = 0;
  std::array<std::byte, 64> report_data{};
  std::array<std::byte, 48> measurement{};
  std::array<std::byte, 32> host_data{};
  std::array<std::byte, 32> report_id{};

  /// What is signed.
  [[nodiscard]] Bytes encode() const;
  /// Errors: EINVAL for another size, version or algorithm; EACCES when `vcek` has not
  /// signed it.
  static Result<AttestationReport> verify(ByteView report, const crypto::PublicKey& vcek);
};

/// SNP_GUEST_REQUEST: what a guest asks of its firmware about itself. MSG_REPORT_REQ is
/// answered; keys, migration and TSC messages are refused with INVALID_PARAM.
///
/// The report is signed by the chip's VCEK, which is made when it is first used and known to
/// nobody else: no TCB version, chip ID, VLEK or certificates of AMD's (model's choice).
///
/// Lifetime: as the platform. Locking: inside of the platform's command.
class Attestation {
 public:
  explicit Attestation(Platform& platform);

  /// The key that reports are signed with: for whoever verifies one.
  [[nodiscard]] crypto::PublicKey vcek();

  /// What SNP_GUEST_REQUEST checks, in order; which status, and the order, are as for
  /// TioCheck.
  struct Check {
    std::string_view id;
    Status status;
    std::string_view why;     ///< literal
    std::string_view source;  ///< literal
  };
  [[nodiscard]] static std::span<const Check> checks();

 private:
  Status guest_request(Call& call);
  Status refuse(Call& call, std::string_view id) const;
  Bytes report_answer(const GuestContext& guest, const GuestMessage& request);
  const crypto::PrivateKey& key();

  Platform& platform_;
  std::optional<crypto::PrivateKey> vcek_;
};

}  // namespace teeio::sev
