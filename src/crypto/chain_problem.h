#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "crypto/certificate.h"

namespace teeio::crypto {

// What is wrong with a chain, for people: sentences that name the certificate, such as
// "certificate 2 of 3 (CN=root): certificate signature failure". The first is the one
// at the root's end.

/// Why CertificateChain::verify() without a time refuses the chain; nullopt: it does not.
[[nodiscard]] std::optional<std::string> chain_problem(const CertificateChain& chain,
                                                       const TrustAnchors& anchors);
/// The same, with the chain's own first certificate as the anchor.
[[nodiscard]] std::optional<std::string> chain_problem(const CertificateChain& chain);

enum class SpdmEnd : std::uint8_t { kResponder, kRequester };
/// Why the leaf may not authenticate this end: its extended key usage has DMTF's purpose of the
/// other end alone. nullopt: it may; one without either purpose may be anybody's. Source: DSP0274
/// 1.2, "Leaf certificate"; libspdm's libspdm_crypt_cert.c, libspdm_verify_leaf_cert_spdm_eku().
[[nodiscard]] std::optional<std::string_view> usage_problem(const CertificateChain& chain,
                                                            SpdmEnd end);

/// The first certificate that is not valid at `unix_time` (seconds), and since or until
/// when; nullopt: all are. Verifiers without a clock never notice.
[[nodiscard]] std::optional<std::string> validity_problem(const CertificateChain& chain,
                                                          std::int64_t unix_time);

}  // namespace teeio::crypto
