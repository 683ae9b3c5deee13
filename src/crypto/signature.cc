#include "crypto/signature.h"

#include <array>
#include <cstring>

namespace teeio::crypto {
namespace {

struct Row {
  KeyType key;
  std::size_t size;  ///< bytes on the wire
};
// By SignatureAlgorithm.
constexpr std::array<Row, 25> kRows = {{{KeyType::kRsa2048, 256},
                                        {KeyType::kRsa2048, 256},
                                        {KeyType::kRsa3072, 384},
                                        {KeyType::kRsa3072, 384},
                                        {KeyType::kP256, 64},
                                        {KeyType::kRsa4096, 512},
                                        {KeyType::kRsa4096, 512},
                                        {KeyType::kP384, 96},
                                        {KeyType::kP521, 132},
                                        {KeyType::kEd25519, 64},
                                        {KeyType::kMlDsa44, 2420},
                                        {KeyType::kMlDsa65, 3309},
                                        {KeyType::kMlDsa87, 4627},
                                        {KeyType::kSlhDsaSha2x128s, 7856},
                                        {KeyType::kSlhDsaShake128s, 7856},
                                        {KeyType::kSlhDsaSha2x128f, 17088},
                                        {KeyType::kSlhDsaShake128f, 17088},
                                        {KeyType::kSlhDsaSha2x192s, 16224},
                                        {KeyType::kSlhDsaShake192s, 16224},
                                        {KeyType::kSlhDsaSha2x192f, 35664},
                                        {KeyType::kSlhDsaShake192f, 35664},
                                        {KeyType::kSlhDsaSha2x256s, 29792},
                                        {KeyType::kSlhDsaShake256s, 29792},
                                        {KeyType::kSlhDsaSha2x256f, 49856},
                                        {KeyType::kSlhDsaShake256f, 49856}}};

struct NamedKey {
  std::string_view name;
  SignatureAlgorithm algorithm;
};
// By KeyType.
constexpr std::array<NamedKey, 22> kKeys = {
    {{"rsa2048", SignatureAlgorithm::kRsaPss2048},
     {"rsa3072", SignatureAlgorithm::kRsaPss3072},
     {"rsa4096", SignatureAlgorithm::kRsaPss4096},
     {"p256", SignatureAlgorithm::kEcdsaP256},
     {"p384", SignatureAlgorithm::kEcdsaP384},
     {"p521", SignatureAlgorithm::kEcdsaP521},
     {"ed25519", SignatureAlgorithm::kEd25519},
     {"mldsa44", SignatureAlgorithm::kMlDsa44},
     {"mldsa65", SignatureAlgorithm::kMlDsa65},
     {"mldsa87", SignatureAlgorithm::kMlDsa87},
     {"slhdsa-sha2-128s", SignatureAlgorithm::kSlhDsaSha2x128s},
     {"slhdsa-shake-128s", SignatureAlgorithm::kSlhDsaShake128s},
     {"slhdsa-sha2-128f", SignatureAlgorithm::kSlhDsaSha2x128f},
     {"slhdsa-shake-128f", SignatureAlgorithm::kSlhDsaShake128f},
     {"slhdsa-sha2-192s", SignatureAlgorithm::kSlhDsaSha2x192s},
     {"slhdsa-shake-192s", SignatureAlgorithm::kSlhDsaShake192s},
     {"slhdsa-sha2-192f", SignatureAlgorithm::kSlhDsaSha2x192f},
     {"slhdsa-shake-192f", SignatureAlgorithm::kSlhDsaShake192f},
     {"slhdsa-sha2-256s", SignatureAlgorithm::kSlhDsaSha2x256s},
     {"slhdsa-shake-256s", SignatureAlgorithm::kSlhDsaShake256s},
     {"slhdsa-sha2-256f", SignatureAlgorithm::kSlhDsaSha2x256f},
     {"slhdsa-shake-256f", SignatureAlgorithm::kSlhDsaShake256f}}};

// By KeyType from kMlDsa44 on. Sizes above: FIPS 204, table 2; FIPS 205, table 2.
constexpr std::array<const char*, 15> kPostQuantum = {
    "ML-DSA-44",          "ML-DSA-65",         "ML-DSA-87",          "SLH-DSA-SHA2-128s",
    "SLH-DSA-SHAKE-128s", "SLH-DSA-SHA2-128f", "SLH-DSA-SHAKE-128f", "SLH-DSA-SHA2-192s",
    "SLH-DSA-SHAKE-192s", "SLH-DSA-SHA2-192f", "SLH-DSA-SHAKE-192f", "SLH-DSA-SHA2-256s",
    "SLH-DSA-SHAKE-256s", "SLH-DSA-SHA2-256f", "SLH-DSA-SHAKE-256f"};

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
bool is_post_quantum(SignatureAlgorithm algorithm) {
  return algorithm >= SignatureAlgorithm::kMlDsa44;
}
const char* post_quantum_name(KeyType type) {
  return type < KeyType::kMlDsa44 ? ""
                                  : kPostQuantum.at(static_cast<std::size_t>(type) -
                                                    static_cast<std::size_t>(KeyType::kMlDsa44));
}
bool signs_without_digest(KeyType type) { return type >= KeyType::kEd25519; }
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
