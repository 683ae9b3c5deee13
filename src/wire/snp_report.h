#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "base/result.h"

namespace teeio::wire {

/// Security versions of a TCB, as a report's eight bytes have them. Source: SEV-SNP firmware
/// ABI (56860), 2.2 "TCB_VERSION"; virtee/sev src/firmware/host/types/snp.rs, TcbVersion, which
/// has Turin's order.
struct SnpTcb {
  std::uint8_t fmc = 0;  ///< Turin's alone
  std::uint8_t boot_loader = 0;
  std::uint8_t tee = 0;
  std::uint8_t snp = 0;
  std::uint8_t microcode = 0;
  enum class Order : std::uint8_t { kMilan, kTurin };
  static SnpTcb of(std::uint64_t version, Order order);
};

/// SNP's ATTESTATION_REPORT, versions 2 to 5. Source: SEV-SNP firmware ABI (56860) 1.55, 7.3
/// "Attestation"; each place and bit as in virtee/sev src/firmware/guest/types/snp.rs,
/// AttestationReport, and src/attestation/evidence/snp/fields/{key_info,platform_info}.rs.
struct SnpReport {
  static constexpr std::size_t kSize = 0x4a0;    ///< bytes
  static constexpr std::size_t kSigned = 0x2a0;  ///< of them the signature is over
  static constexpr std::uint64_t kPolicySmt = 1U << 16U;
  static constexpr std::uint64_t kPolicyMigration = 1U << 18U;
  static constexpr std::uint64_t kPolicyDebug = 1U << 19U;
  enum class SigningKey : std::uint8_t { kVcek = 0, kVlek = 1, kNone = 7 };

  std::uint32_t version = 2;
  std::uint32_t guest_svn = 0;
  std::uint64_t policy = 0;
  std::array<std::byte, 16> family_id{};  ///< as image_id and guest_svn of an ID block
  std::array<std::byte, 16> image_id{};
  std::uint32_t vmpl = 0;
  std::array<std::byte, 64> report_data{};
  std::array<std::byte, 48> measurement{};
  std::array<std::byte, 32> host_data{};
  std::array<std::byte, 48> id_key_digest{};      ///< of who signed the ID block
  std::array<std::byte, 48> author_key_digest{};  ///< of who signed the ID key
  std::array<std::byte, 32> report_id{};
  std::optional<std::array<std::byte, 32>>
      agent_report_id{};  ///< REPORT_ID_MA, if there is an agent
  std::uint64_t current_tcb = 0;
  std::uint64_t reported_tcb = 0;  ///< by which the key was chosen
  std::uint64_t committed_tcb = 0;
  std::uint64_t launch_tcb = 0;
  std::uint8_t cpu_family = 0;  ///< from version 3 on
  std::array<std::byte, 64> chip_id{};
  std::uint16_t abi_version = 0x0137;  ///< current: major, minor
  bool author_key_enabled = false;
  bool mask_chip_key = false;
  SigningKey signing_key = SigningKey::kVcek;

  [[nodiscard]] SnpTcb tcb(std::uint64_t version_word) const;
  /// What is signed.
  [[nodiscard]] Bytes encode() const;
  /// It is as long as one, of a known version and algorithm.
  [[nodiscard]] static bool is_one(ByteView bytes);
  /// What a report says, whoever signed it.
  /// Errors: EINVAL when is_one() says no, or a reserved kind of key signed it.
  static Result<SnpReport> decode(ByteView report);
  [[nodiscard]] bool is_of_turin() const;
};

/// The signature behind what is signed: a big-endian r || s of P-384 as a field of little-endian
/// numbers, and back. Precondition of the second: SnpReport::is_one().
[[nodiscard]] Bytes snp_signature_field(ByteView signature);
[[nodiscard]] Bytes snp_signature(ByteView report);
/// Whether what the numbers of P-384 leave of their fields, and what is behind them, is zero, as
/// 56860, table "Signature" reserves it. Precondition: SnpReport::is_one().
[[nodiscard]] bool snp_signature_is_padded(ByteView report);

}  // namespace teeio::wire
