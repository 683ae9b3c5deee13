// For which end of SPDM a leaf certificate is.
#include "crypto/chain_problem.h"
#include "crypto/der.h"
#include "crypto/dice.h"
#include "crypto/dmtf_oids.h"
#include "crypto/plain_certificate.h"

namespace teeio::crypto {
namespace {

constexpr std::string_view kExtendedUsage = "2.5.29.37";  // RFC 5280, 4.2.1.12

/// DER of ExtKeyUsageSyntax; empty: the certificate has none.
Bytes extended_usage(const Certificate& certificate) {
  const detail::PlainCertificate* const plain = certificate.plain();
  if (plain == nullptr) return extension_value(certificate, kExtendedUsage).value_or(Bytes());
  return {plain->extended_usage.begin(), plain->extended_usage.end()};
}

bool names(ByteView usages, std::string_view purpose) {
  DerReader in(usages);
  const auto list = in.next(kDerSequence);
  if (!list) return false;
  DerReader ids(list->contents);
  while (const auto id = ids.next(kDerObjectId))
    if (der_object_id(id->contents) == purpose) return true;
  return false;
}

}  // namespace

std::optional<std::string_view> usage_problem(const CertificateChain& chain, SpdmEnd end) {
  const Bytes usages = extended_usage(chain.leaf());
  const bool responder = names(usages, kOidResponderAuth);
  const bool requester = names(usages, kOidRequesterAuth);
  if (end == SpdmEnd::kResponder && requester && !responder)
    return "the leaf certificate is for requesters alone (id-DMTF-eku-requester-auth)";
  if (end == SpdmEnd::kRequester && responder && !requester)
    return "the leaf certificate is for responders alone (id-DMTF-eku-responder-auth)";
  return std::nullopt;
}

}  // namespace teeio::crypto
