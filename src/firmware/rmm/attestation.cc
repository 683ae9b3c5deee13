#include "firmware/rmm/attestation.h"

#include <string>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "crypto/random.h"
#include "wire/cca_token.h"

namespace teeio::rmm {
namespace {

constexpr std::uint64_t kSecured = 0x3000;

constexpr std::string_view kRealmProfile = "tag:arm.com,2024:realm#2.0.0";
constexpr std::string_view kPlatformProfile = "tag:arm.com,2023:cca_platform#1.0.0";

constexpr std::uint64_t kPlatformSeed = 0x6370'616b;  // "cpak"
constexpr std::uint64_t kRealmSeed = 0x7261'6b00;     // "rak"

crypto::PrivateKey key_of(std::uint64_t seed) {
  const crypto::SeededRandom random(seed);
  return crypto::PrivateKey::generate(crypto::KeyType::kP384);
}

std::string_view name_of(HashAlgorithm algorithm) {
  switch (algorithm) {
    case HashAlgorithm::kSha512:
      return "sha-512";
    case HashAlgorithm::kSha384:
      return "sha-384";
    case HashAlgorithm::kSha256:
      break;
  }
  return "sha-256";
}

crypto::Digest digest_of(std::string_view text) {
  return crypto::hash(crypto::HashAlgorithm::kSha256, std::as_bytes(std::span(text)));
}

Bytes copy(ByteView bytes) { return {bytes.begin(), bytes.end()}; }

Bytes sign1(const crypto::PrivateKey& key, Bytes payload) {
  auto one = wire::CoseSign1::of(std::move(payload), wire::CoseAlgorithm::kEs384);
  auto signature = key.sign(crypto::SignatureAlgorithm::kEcdsaP384, crypto::HashAlgorithm::kSha384,
                            one.to_sign());
  TEEIO_CHECK(signature.has_value(), "a P-384 key signs");
  one.signature = std::move(*signature);
  return one.encode();
}

Bytes cose_key(const crypto::PublicKey& key) {
  constexpr std::size_t kCoordinate = 48;
  const Bytes info = key.der();  // ends in the point
  return wire::CoseEcKey{.point = copy(ByteView(info).last(2 * kCoordinate))}.encode();
}

/// What was loaded, and by whom it is signed. There are no images: a name stands for one.
wire::CcaComponent component(std::string_view type) {
  return {.type = std::string(type),
          .value = copy(digest_of(type)),
          .version = std::nullopt,
          .signer = copy(digest_of("signer")),
          .hash = std::string(name_of(HashAlgorithm::kSha256))};
}

Bytes platform_claims(ByteView realm_key) {
  Bytes instance(1, std::byte{1});  // RAND
  const crypto::Digest platform = digest_of("platform");
  instance.insert(instance.end(), platform.view().begin(), platform.view().end());
  return wire::CcaPlatformClaims{
      .profile = std::string(kPlatformProfile),
      .challenge = copy(crypto::hash(crypto::HashAlgorithm::kSha256, realm_key)),
      .implementation = copy(digest_of("implementation")),
      .instance = std::move(instance),
      .config = Bytes(4),
      .lifecycle = kSecured,
      .components = {component("RMM"), component("BL31")},
      .service = std::nullopt,
      .hash = std::string(name_of(HashAlgorithm::kSha256))}
      .encode();
}

}  // namespace

Attestation::Attestation() : platform_key_(key_of(kPlatformSeed)), realm_key_(key_of(kRealmSeed)) {
  const crypto::SeededRandom random(kPlatformSeed);
  realm_public_ = cose_key(realm_key_.public_key());
  platform_token_ = sign1(platform_key_, platform_claims(realm_public_));
}

Bytes Attestation::claims(const Measurements& measurements, const RealmIdentity& realm,
                          ByteView challenge) const {
  static_assert(Measurements::kSlots == wire::kCcaExtensible + 1);
  wire::CcaRealmClaims claims{.profile = std::string(kRealmProfile),
                              .challenge = copy(challenge),
                              .instance = copy(realm.instance),
                              .personalization = copy(realm.personalisation),
                              .public_key = realm_public_,
                              .hash = std::string(name_of(measurements.algorithm())),
                              .public_key_hash = std::string(name_of(HashAlgorithm::kSha256)),
                              // This memory has one key for all realms.
                              .private_mec = false,
                              .initial = copy(measurements.value(0)),
                              .extensible = {}};
  for (std::size_t slot = 0; slot < wire::kCcaExtensible; ++slot)
    claims.extensible.at(slot) = copy(measurements.value(slot + 1));
  return claims.encode();
}

Bytes Attestation::token(ByteView claims) const {
  return wire::CcaToken{.platform = platform_token_, .realm = sign1(realm_key_, copy(claims))}
      .encode();
}

}  // namespace teeio::rmm
