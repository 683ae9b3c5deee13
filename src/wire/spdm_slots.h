#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "wire/spdm.h"

namespace teeio::wire {

/// SLOT_MANAGEMENT (1.4): certificate slots in banks, a bank for each asymmetric algorithm,
/// whatever was negotiated. Source: libspdm pull request 3670, include/industry_standard/spdm.h,
/// spdm_slot_management_*, which names DSP0274 1.4, tables 141 to 153; DSP0274 itself was not read.
enum class SpdmSlotSubcode : std::uint8_t {
  kSupportedSubcodes = 0x00,
  kGetBankInfo = 0x01,
  kGetBankDetails = 0x02,
  kGetCertificateChain = 0x03,
  kGetCsr = 0x04,
  kManageBank = 0x20,
  kManageSlot = 0x21,
  kSetCertificate = 0x22,
};
/// "GetBankInfo"; empty for one that there is not.
[[nodiscard]] std::string_view spdm_slot_subcode_name(std::uint8_t subcode);

/// The request. Fields that its subcode does not have are not sent, and zero when read.
struct SpdmSlotManagement {
  static constexpr SpdmCode kCode = SpdmCode::kSlotManagement;
  static constexpr std::uint8_t kConfigAlgorithm = 1;  ///< operation of ManageBank
  static constexpr std::uint8_t kErase = 1;            ///< operation of ManageSlot
  std::uint8_t version = kSpdmVersion14;
  std::uint8_t subcode = 0;  ///< an SpdmSlotSubcode
  // SlotAddress: of all but SupportedSubCodes and GetBankInfo.
  std::uint8_t bank = 0;
  std::uint8_t slot = 0;         ///< 4 bits
  std::uint8_t operation = 0;    ///< of ManageBank and ManageSlot
  std::uint32_t asym = 0;        ///< ManageBank, of SpdmKeyPairAsym
  ByteView pqc{};                ///< ManageBank
  std::uint8_t key_pair = 0;     ///< of GetCSR and SetCertificate
  std::uint8_t attributes = 0;   ///< of the same: bits 2:0 the certificate model
  ByteView requester_info{};     ///< GetCSR
  ByteView opaque{};             ///< GetCSR
  ByteView certificate_chain{};  ///< SetCertificate: as in CERTIFICATE, with its header
  ByteView wire{};
  static Result<SpdmSlotManagement> decode(ByteView in);
  [[nodiscard]] Bytes encode() const;
};

/// The answer: a structure by subcode, below; none to ManageBank, ManageSlot, SetCertificate.
struct SpdmSlotManagementResp {
  static constexpr SpdmCode kCode = SpdmCode::kSlotManagementResp;
  std::uint8_t version = kSpdmVersion14;
  std::uint8_t subcode = 0;
  ByteView structure{};
  ByteView wire{};
  static Result<SpdmSlotManagementResp> decode(ByteView in);
  [[nodiscard]] Bytes encode() const;
};

/// Answers SupportedSubCodes: bit n for subcode n. Errors: EINVAL, it is too short.
[[nodiscard]] Bytes encode_spdm_supported_subcodes(std::uint64_t subcodes);
[[nodiscard]] Result<std::uint64_t> decode_spdm_supported_subcodes(ByteView structure);

/// Of the answer to GetBankInfo.
struct SpdmBankElement {
  std::uint8_t bank = 0;
  std::uint8_t slots = 0;       ///< that there are, a bit each
  std::uint8_t modifiable = 0;  ///< of those
};
/// Precondition: at most 240.
[[nodiscard]] Bytes encode_spdm_bank_info(std::span<const SpdmBankElement> banks);
/// Errors: EINVAL, its lengths contradict each other.
[[nodiscard]] Result<std::vector<SpdmBankElement>> decode_spdm_bank_info(ByteView structure);

/// A slot in the answer to GetBankDetails.
struct SpdmSlotElement {
  static constexpr std::uint8_t kProvisioned = 1;
  static constexpr std::uint8_t kWriteProtected = 2;
  std::uint8_t slot = 0;
  std::uint8_t attributes = 0;
  std::uint8_t key_pair = 0;          ///< of a multi-key connection
  std::uint8_t certificate_info = 0;  ///< likewise: bits 2:0 the certificate model
  std::uint16_t key_usage = 0;        ///< likewise: of SpdmKeyUsage
  std::uint32_t size = 0;             ///< bytes that it has room for
  ByteView digest{};                  ///< zeros while nothing is in it
};

/// The answer to GetBankDetails.
struct SpdmBankDetails {
  static constexpr std::uint8_t kSelected = 1;         ///< by ALGORITHMS
  static constexpr std::uint8_t kConfigAlgorithm = 2;  ///< ManageBank can
  std::uint8_t bank = 0;
  std::uint8_t attributes = 0;
  std::uint32_t asym_capabilities = 0;  ///< of SpdmKeyPairAsym, as the next two
  std::uint32_t current_asym = 0;
  std::uint32_t available_asym = 0;
  ByteView pqc_capabilities{};  ///< of PqcAsymAlgo, as the next two
  ByteView current_pqc{};
  ByteView available_pqc{};
  std::vector<SpdmSlotElement> slots{};
  /// Errors: EINVAL, its lengths contradict each other.
  static Result<SpdmBankDetails> decode(ByteView structure);
  [[nodiscard]] Bytes encode() const;
};

/// The chain of GetCertificateChain, or the request of GetCSR. Errors: EINVAL, it is too short.
[[nodiscard]] Bytes encode_spdm_slot_data(ByteView data);
[[nodiscard]] Result<ByteView> decode_spdm_slot_data(ByteView structure);

}  // namespace teeio::wire
