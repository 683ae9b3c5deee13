#pragma once

#include <optional>
#include <string>
#include <vector>

#include "crypto/certificate.h"
#include "crypto/dice.h"
#include "evidence/object.h"
#include "wire/spdm_measurements.h"
#include "wire/tdisp_report.h"

namespace teeio::evidence {

/// What GET_VERSION … ALGORITHMS settled.
struct Agreement {
  std::vector<std::uint8_t> versions;  ///< that the device speaks
  std::uint8_t version = 0;            ///< that was used
  std::uint32_t requester_flags = 0;
  std::uint32_t device_flags = 0;
  std::uint32_t base_hash = 0;
  std::uint32_t base_asym = 0;
  std::uint32_t pqc_asym = 0;
  std::uint32_t measurement_hash = 0;
  /// The algorithm of the device's signatures, of either family; nullopt: not known here.
  [[nodiscard]] std::optional<crypto::SignatureAlgorithm> signature() const;
  bool is_signed = false;  ///< it stands in the transcript that the device signed (1.2)
};

struct MeasurementBlock {
  std::uint8_t index = 0;
  wire::SpdmMeasurementType type{};
  bool raw = false;  ///< `value` is what was measured, not its digest
  Bytes value;
};

/// The last GET_MEASUREMENTS of the transcript, which wants the signature.
struct Asked {
  bool sign = false;
  std::uint8_t slot = 0;
  wire::SpdmNonce nonce{};
};

/// A certificate of the chain, with what it says.
struct CertificateView {
  crypto::CertificateFacts facts;
  crypto::DiceClaims dice;
  Bytes key_digest;  ///< SHA-256 of its SubjectPublicKeyInfo: the key's identity
};

/// Evidence as far as it can be read. What cannot is a sentence in `*_problem`, and the
/// parts behind it are empty.
struct Statement {
  Bundle bundle;
  spdm::Evidence evidence;

  std::string agreement_problem;
  std::optional<Agreement> agreement;

  std::string chain_problem;
  std::optional<crypto::SpdmCertificateChain> chain;
  std::vector<CertificateView> certificates;
  bool names_its_root = false;  ///< the root hash is the first certificate's

  std::string measurements_problem;
  std::vector<MeasurementBlock> blocks;
  std::optional<Asked> asked;
  std::uint8_t answers = 0;  ///< MEASUREMENTS in the transcript
  /// Every block was asked for, or as many as the device says that there are. Whoever carries
  /// requests can ask for good blocks alone.
  bool has_all_blocks = false;
  /// ContentChanged of the signed answer (1.2): whether blocks of earlier answers changed since.
  std::uint8_t content_changed = 0;

  std::string report_problem;
  std::optional<wire::TdispReport> report;

  /// Nullptr: there is no such block.
  [[nodiscard]] const MeasurementBlock* block(std::uint8_t index) const;
  /// Total: whatever is in the bundle.
  static Statement of(Bundle bundle);
};

}  // namespace teeio::evidence
