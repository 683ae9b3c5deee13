#include "spdm/peer_chain.h"

#include <algorithm>

namespace teeio::spdm {

Result<VerifiedChain> verify_chain(Bytes blob, crypto::HashAlgorithm hash,
                                   const crypto::TrustAnchors* anchors, crypto::SpdmEnd end,
                                   ByteView digest, std::string* problem) {
  const crypto::Digest own = crypto::hash(hash, blob);
  if (!digest.empty() && !std::ranges::equal(own.view(), digest))
    return fail(Errno::kPerm, "certificate chain is not the one of DIGESTS");
  const auto known =
      anchors != nullptr ? anchors->certificates() : std::span<const crypto::Certificate>();
  TEEIO_ASSIGN(auto parsed, crypto::SpdmCertificateChain::parse(blob, hash, known));
  auto wrong = anchors != nullptr ? crypto::chain_problem(parsed.chain, *anchors)
                                  : crypto::chain_problem(parsed.chain);
  if (const auto usage = crypto::usage_problem(parsed.chain, end); usage && !wrong) wrong = *usage;
  if (wrong && problem != nullptr) *problem = *wrong;
  if (wrong) return fail(Errno::kPerm, "certificate chain does not verify");
  return VerifiedChain{std::move(blob), own, std::move(parsed), anchors != nullptr};
}

}  // namespace teeio::spdm
