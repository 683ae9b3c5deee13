#include "crypto/signature.h"

#include <array>
#include <cstring>

#include "base/check.h"

namespace teeio::crypto {
namespace {

struct Row {
  KeyType key;
  std::size_t size;  ///< bytes on the wire
};
// By SignatureAlgorithm.
constexpr std::array<Row, 10> kRows = {{{KeyType::kRsa2048, 256},
                                        {KeyType::kRsa2048, 256},
                                        {KeyType::kRsa3072, 384},
                                        {KeyType::kRsa3072, 384},
                                        {KeyType::kP256, 64},
                                        {KeyType::kRsa4096, 512},
                                        {KeyType::kRsa4096, 512},
                                        {KeyType::kP384, 96},
                                        {KeyType::kP521, 132},
                                        {KeyType::kEd25519, 64}}};

struct NamedKey {
  std::string_view name;
  SignatureAlgorithm algorithm;
};
// By KeyType.
constexpr std::array<NamedKey, 7> kKeys = {{{"rsa2048", SignatureAlgorithm::kRsaPss2048},
                                            {"rsa3072", SignatureAlgorithm::kRsaPss3072},
                                            {"rsa4096", SignatureAlgorithm::kRsaPss4096},
                                            {"p256", SignatureAlgorithm::kEcdsaP256},
                                            {"p384", SignatureAlgorithm::kEcdsaP384},
                                            {"p521", SignatureAlgorithm::kEcdsaP521},
                                            {"ed25519", SignatureAlgorithm::kEd25519}}};

/// combined_spdm_prefix's size. DSP0274 1.2, "Signing algorithms".
constexpr std::size_t kCombinedPrefixSize = 100;
constexpr int kPrefixRepetitions = 4;

}  // namespace

std::size_t signature_size(SignatureAlgorithm algorithm) {
  return kRows[static_cast<std::size_t>(algorithm)].size;
}
KeyType key_type(SignatureAlgorithm algorithm) {
  return kRows[static_cast<std::size_t>(algorithm)].key;
}
SignatureAlgorithm default_algorithm(KeyType type) {
  return kKeys[static_cast<std::size_t>(type)].algorithm;
}
std::string_view key_type_name(KeyType type) { return kKeys[static_cast<std::size_t>(type)].name; }

std::optional<KeyType> key_type_from_name(std::string_view name) {
  for (std::size_t i = 0; i < kKeys.size(); ++i)
    if (kKeys[i].name == name) return static_cast<KeyType>(i);
  return std::nullopt;
}

std::string_view signing_context(SigningPurpose purpose) {
  switch (purpose) {
    case SigningPurpose::kResponderChallengeAuth:
      return "responder-challenge_auth signing";
    case SigningPurpose::kRequesterChallengeAuth:
      return "requester-challenge_auth signing";
    case SigningPurpose::kResponderMeasurements:
      return "responder-measurements signing";
    case SigningPurpose::kResponderKeyExchangeRsp:
      return "responder-key_exchange_rsp signing";
    case SigningPurpose::kRequesterFinish:
      return "requester-finish signing";
    case SigningPurpose::kResponderEndpointInfo:
      return "responder-endpoint_info signing";
    case SigningPurpose::kRequesterEndpointInfo:
      return "requester-endpoint_info signing";
  }
  return {};
}

Bytes combined_message(const SpdmSigning& what, const Digest& transcript) {
  std::array<char, 16> prefix{};
  std::memcpy(prefix.data(), "dmtf-spdm-v1.2.*", prefix.size());
  prefix[11] = static_cast<char>('0' + (what.version >> 4U));
  prefix[13] = static_cast<char>('0' + (what.version & 0xfU));
  Writer out;
  for (int i = 0; i < kPrefixRepetitions; ++i) out.bytes(std::as_bytes(std::span(prefix)));
  // The context ends the 100 bytes; zeros stand before it.
  const std::string_view context = signing_context(what.purpose);
  out.zeros(kCombinedPrefixSize - out.size() - context.size());
  out.bytes(std::as_bytes(std::span(context)));
  out.bytes(transcript);
  return out.take();
}

}  // namespace teeio::crypto
