#include "spdm/peer_chain.h"

#include <algorithm>
#include <array>

namespace teeio::spdm {

Result<VerifiedChain> verify_chain(Bytes blob, crypto::HashAlgorithm hash,
                                   const crypto::TrustAnchors* anchors, ByteView digest) {
  const crypto::Digest own = crypto::hash(hash, blob);
  if (!digest.empty() && !std::ranges::equal(own.view(), digest))
    return fail(Errno::kPerm, "certificate chain is not the one of DIGESTS");
  const auto known =
      anchors != nullptr ? anchors->certificates() : std::span<const crypto::Certificate>();
  TEEIO_ASSIGN(auto parsed, crypto::SpdmCertificateChain::parse(blob, hash, known));
  bool valid = false;
  if (anchors != nullptr) {
    valid = parsed.chain.verify(*anchors).has_value();
  } else {
    const std::array root{parsed.chain.first()};
    valid = parsed.chain.verify(crypto::TrustAnchors(root)).has_value();
  }
  if (!valid) return fail(Errno::kPerm, "certificate chain does not verify");
  return VerifiedChain{std::move(blob), own, std::move(parsed), anchors != nullptr};
}

}  // namespace teeio::spdm
