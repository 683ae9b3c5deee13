#pragma once

#include <string>

#include "crypto/certificate.h"
#include "crypto/chain_problem.h"

namespace teeio::spdm {

/// A certificate chain as the peer sent it, whose signatures hold.
struct VerifiedChain {
  Bytes blob;           ///< SPDM format
  crypto::Digest hash;  ///< of the blob, as DIGESTS has it
  crypto::SpdmCertificateChain chain;
  bool anchored = false;  ///< up to a trust anchor, not only up to its own first certificate
};

/// Parses once and verifies. `anchors` nullptr: any root is accepted, but every
/// signature below it must hold. `digest` is what DIGESTS said of the slot; empty:
/// it was not asked. Errors: EPERM when signatures, anchor or digest do not hold,
/// or the leaf is not for this end; EINVAL and E2BIG as crypto::SpdmCertificateChain::parse().
/// `end`: whose chain it is. `problem`, unless null, gets
/// a sentence that names the certificate whose signature does not hold.
Result<VerifiedChain> verify_chain(Bytes blob, crypto::HashAlgorithm hash,
                                   const crypto::TrustAnchors* anchors, crypto::SpdmEnd end,
                                   ByteView digest, std::string* problem = nullptr);

}  // namespace teeio::spdm
