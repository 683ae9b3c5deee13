#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "crypto/certificate.h"

namespace teeio::crypto {

// Object identifiers of TCG DICE, all below tcg-dice, 2.23.133.5.4. Source: TCG DICE
// Attestation Architecture 1.1, section 6 and appendix A.
inline constexpr const char* kOidDiceTcbInfo = "2.23.133.5.4.1";
inline constexpr const char* kOidDiceUeid = "2.23.133.5.4.4";
inline constexpr const char* kOidDiceMultiTcbInfo = "2.23.133.5.4.5";
/// Name of an object identifier of TCG DICE or DMTF's SPDM; empty for others. Also of
/// hash algorithms, as FWIDs have them.
[[nodiscard]] std::string_view attestation_oid_name(std::string_view dotted);

/// FWID: a digest of firmware or settings.
struct DiceFwid {
  std::string algorithm;  ///< dotted
  Bytes digest;
  bool operator==(const DiceFwid&) const = default;
};

/// DiceTcbInfo: what one layer of firmware measured of another. What is absent stays so.
struct DiceTcbInfo {
  std::optional<std::string> vendor;
  std::optional<std::string> model;
  std::optional<std::string> version;
  std::optional<std::uint64_t> svn;
  std::optional<std::uint64_t> layer;
  std::optional<std::uint64_t> index;
  std::vector<DiceFwid> fwids;
  std::optional<std::uint32_t> flags;  ///< OperationalFlags: bit n of the BIT STRING is 1 << n
  Bytes vendor_info;
  Bytes type;
  std::optional<std::uint32_t> flags_mask;
  bool operator==(const DiceTcbInfo&) const = default;

  /// One DiceTcbInfo. Fields of later versions of the specification are passed over.
  /// Errors: EINVAL when it is no such SEQUENCE.
  static Result<DiceTcbInfo> parse(ByteView der);
};
/// "debug": the name of bit `bit` of OperationalFlags; empty for others.
[[nodiscard]] std::string_view dice_flag_name(unsigned bit);

/// What a certificate says in DICE's extensions.
struct DiceClaims {
  std::vector<DiceTcbInfo> tcb;       ///< of TcbInfo and MultiTcbInfo
  Bytes ueid;                         ///< empty: there is none
  std::vector<std::string> purposes;  ///< extended key usages, dotted, that are DICE's
  std::string_view problem{};         ///< an extension of DICE makes no sense: why
  [[nodiscard]] bool empty() const { return tcb.empty() && ueid.empty() && purposes.empty(); }
};
[[nodiscard]] DiceClaims dice_claims(const Certificate& certificate);

/// What else a certificate says about itself, for people and policies.
struct CertificateFacts {
  std::string subject;  ///< RFC 2253
  std::string issuer;
  std::string serial;      ///< hexadecimal
  std::string not_before;  ///< 2020-01-01T00:00:00Z
  std::string not_after;
  /// id-DMTF-device-info: "manufacturer:product:serial"; empty: there is none.
  std::string device_info;
  std::vector<std::string> critical_unknown;  ///< critical extensions that OpenSSL knows not
};
[[nodiscard]] CertificateFacts certificate_facts(const Certificate& certificate);

/// What is inside of an extension's OCTET STRING, by its dotted object identifier; nullopt
/// where the certificate has none.
[[nodiscard]] std::optional<Bytes> extension_value(const Certificate& certificate,
                                                   std::string_view oid);

}  // namespace teeio::crypto
