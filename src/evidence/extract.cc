#include "evidence/extract.h"

#include "crypto/hash.h"
#include "crypto/key_text.h"
#include "spdm/suite.h"

namespace teeio::evidence {
namespace {

Bytes bytes_of_text(std::string_view text) {
  const ByteView view = std::as_bytes(std::span(text));
  return {view.begin(), view.end()};
}

/// The message whose hash is signed. Before 1.2 the transcript itself; then its hash
/// behind the prefix.
Bytes signed_message(const Statement& s, crypto::SignatureAlgorithm algorithm,
                     crypto::HashAlgorithm hash) {
  constexpr std::uint8_t kFirstWithPrefix = 0x12;
  if (s.agreement->version < kFirstWithPrefix) return s.evidence.transcript;
  return crypto::combined_message(
      {s.agreement->version, crypto::SigningPurpose::kResponderMeasurements, algorithm, hash},
      crypto::hash(hash, s.evidence.transcript));
}

void add_chain(const Statement& s, std::vector<Part>& parts) {
  const auto certificates = s.chain->chain.certificates();
  parts.push_back({"root.pem", bytes_of_text(certificates.front().pem())});
  const ByteView root = certificates.front().der();
  parts.push_back({"root.der", Bytes(root.begin(), root.end())});
  std::string below;
  for (std::size_t i = 1; i + 1 < certificates.size(); ++i) below += certificates[i].pem();
  parts.push_back({"below.pem", bytes_of_text(below)});
  parts.push_back({"leaf.pem", bytes_of_text(s.chain->chain.leaf().pem())});
  parts.push_back(
      {"leaf.pub.pem", bytes_of_text(crypto::public_key_pem(s.chain->chain.leaf().public_key()))});
}

void add_signature(const Statement& s, std::vector<Part>& parts) {
  const auto hash = spdm::hash_of(s.agreement->base_hash);
  const auto algorithm = s.agreement->signature();
  if (!hash || !algorithm || s.evidence.signature.size() != crypto::signature_size(*algorithm))
    return;
  parts.push_back({"signed.bin", signed_message(s, *algorithm, *hash)});
  parts.push_back({"signature.bin", crypto::openssl_signature(*algorithm, s.evidence.signature)});
}

}  // namespace

std::vector<Part> extract(const Statement& s) {
  std::vector<Part> parts;
  if (s.chain) add_chain(s, parts);
  if (s.agreement) add_signature(s, parts);
  parts.push_back({"transcript.bin", s.evidence.transcript});
  parts.push_back({"evidence.bin", s.bundle.object});
  if (!s.bundle.report.empty()) parts.push_back({"report.bin", s.bundle.report});
  return parts;
}

}  // namespace teeio::evidence
