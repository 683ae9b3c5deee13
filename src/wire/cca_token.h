#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "wire/cose.h"

// The CCA attestation token. Sources: RMM specification (DEN0137), A7.2, "Realm attestation
// token"; draft-ffm-rats-cca-token (cddl/platform, cddl/realm, cddl/top); TF-RMM
// app/attestation/el0_app/src/attestation_token.c, attestation_defs_priv.h. Keys and
// signatures are carried, not judged: that is the caller's, who has cryptography.
namespace teeio::wire {

inline constexpr std::size_t kCcaChallengeSize = 64;
inline constexpr std::size_t kCcaPersonalizationSize = 64;
inline constexpr std::size_t kCcaInstanceSize = 33;  ///< a UEID of type RAND
inline constexpr std::size_t kCcaExtensible = 4;     ///< measurements

/// What was loaded on the platform (draft-ffm-rats-cca-token, "Software Components").
struct CcaComponent {
  std::optional<std::string> type;
  Bytes value;
  std::optional<std::string> version;
  Bytes signer;
  std::optional<std::string> hash;
};

/// Claims of the platform token.
struct CcaPlatformClaims {
  std::string profile;
  Bytes challenge;  ///< hash of the realm's key
  Bytes implementation;
  Bytes instance;
  Bytes config;
  std::uint64_t lifecycle = 0;
  std::vector<CcaComponent> components;
  std::optional<std::string> service;  ///< where to verify
  std::string hash;
  std::size_t unknown = 0;  ///< claims that are passed over, as EAT wants

  [[nodiscard]] Bytes encode() const;
  /// Errors: EINVAL when a claim is missing, comes twice, or has another type or size than
  /// the draft gives it.
  static Result<CcaPlatformClaims> decode(ByteView payload);
};
/// "secured": the draft's word for the range of a lifecycle; empty for none of them.
[[nodiscard]] std::string_view cca_lifecycle_name(std::uint64_t lifecycle);

/// Claims of the realm token.
struct CcaRealmClaims {
  std::optional<std::string> profile;  ///< RMM 1.0 had none
  Bytes challenge;
  std::optional<Bytes> instance;  ///< from profile 2.0.0 on
  Bytes personalization;
  Bytes public_key;  ///< as the platform's challenge is the hash of
  std::string hash;
  std::string public_key_hash;
  std::optional<bool> private_mec;  ///< the realm's memory has a key of its own
  Bytes initial;
  std::array<Bytes, kCcaExtensible> extensible;
  std::size_t unknown = 0;

  [[nodiscard]] Bytes encode() const;
  /// Errors: as CcaPlatformClaims::decode().
  static Result<CcaRealmClaims> decode(ByteView payload);
};

/// The collection of the two: a CMW (draft-ietf-rats-msg-wrap) with tag 907, or as before
/// with tag 399 (TF-RMM's DOWNREV_CCA_TOKEN_TOP_FORMAT).
struct CcaToken {
  std::optional<Bytes> platform;  ///< a COSE_Sign1
  Bytes realm;                    ///< likewise

  [[nodiscard]] Bytes encode() const;
  /// It begins as one.
  [[nodiscard]] static bool is_one(ByteView bytes);
  /// Errors: EINVAL when it is none, has no realm token, has a part twice or another one, or
  /// bytes follow it.
  static Result<CcaToken> decode(ByteView bytes);
};

}  // namespace teeio::wire
