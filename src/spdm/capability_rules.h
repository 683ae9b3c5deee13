#pragma once

#include <cstdint>

#include "spdm/settings.h"

namespace teeio::spdm {

/// Whether a requester's flags may stand together in `version`. A responder
/// answers InvalidRequest otherwise. Source: DSP0274 1.2 and 1.3, table "Flag
/// fields definitions for the Requester".
[[nodiscard]] bool requester_flags_agree(std::uint32_t flags, std::uint8_t version);
/// The same of a responder's.
[[nodiscard]] bool responder_flags_agree(std::uint32_t flags, std::uint8_t version);

/// Whether a peer's DataTransferSize and MaxSPDMmsgSize may stand together (1.2).
[[nodiscard]] bool sizes_agree(std::uint32_t data_transfer_size, std::uint32_t max_message_size,
                               std::uint32_t flags);

/// What an end with these settings sends as MaxSPDMmsgSize: without chunks a
/// message is no larger than a transfer.
[[nodiscard]] std::uint32_t offered_max_message_size(const Settings& settings, std::uint32_t flags);

/// The flags of everything that needs a session, in the requester's and the
/// responder's table alike.
[[nodiscard]] std::uint32_t session_flags();

/// What a version knows of BaseAsymAlgo and ReqBaseAsymAlg: EdDSA came with SPDM 1.2, and its bits
/// are reserved before. Source: libspdm spdm.h, SPDM_ALGORITHMS_BASE_ASYM_ALGO_10_MASK.
[[nodiscard]] std::uint16_t signatures_of_version(std::uint8_t version);

/// Which of several common algorithms a responder takes: first those of PCI-SIG's
/// TEE-IO configuration, the strongest first, then the highest bit. So a requester that
/// has just that configuration meets the same choice as one that offers everything.
/// Source: intel/tee-io-validator doc/spdm_test/spdm_test.md, item 3.
enum class Choice : std::uint8_t {
  kBaseHash,         ///< SHA-384, SHA-256
  kMeasurementHash,  ///< SHA-384, SHA-256
  kAsym,             ///< ECDSA P-384, ECDSA P-256, RSASSA-3072
  kGroup,            ///< secp384r1, secp256r1
  kAead,             ///< AES-256-GCM
  kPqcAsym,          ///< ML-DSA-87, -65, -44; CNSA 2.0 knows ML-DSA alone
  kOther,            ///< nothing is preferred
};
/// One bit of `common`; 0 for none.
[[nodiscard]] std::uint32_t choose_bit(Choice what, std::uint32_t common);

/// Whether what both ends offered can make use of an algorithm; what nothing uses is not
/// selected in ALGORITHMS. Source: DSP0274 1.2, tables 15 to 21 ("shall be set to zero"
/// where no request or response pair needs it); SPDM-Responder-Validator 3.x.13–16.
struct AlgorithmUse {
  bool base_hash = false;
  bool base_asym = false;      ///< this end signs
  bool dhe = false;            ///< KEY_EXCHANGE
  bool aead = false;           ///< sessions are encrypted or authenticated
  bool req_base_asym = false;  ///< the requester signs
  bool key_schedule = false;   ///< sessions of any kind
};
[[nodiscard]] AlgorithmUse algorithm_use(std::uint32_t responder_flags,
                                         std::uint32_t requester_flags);

}  // namespace teeio::spdm
