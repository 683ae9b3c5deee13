#include "firmware/rmm/attestation.h"

#include <string_view>

#include "base/check.h"
#include "crypto/random.h"
#include "firmware/rmm/cbor.h"

namespace teeio::rmm {
namespace {

// IANA's registries "CBOR Web Token Claims" and "COSE".
enum Claim : std::int64_t {
  kChallenge = 10,
  kInstance = 256,
  kProfile = 265,
  kLifecycle = 2395,
  kImplementation = 2396,
  kComponents = 2399,
  kConfig = 2401,
  kPlatformHash = 2402,
  kPersonalisation = 44235,
  kRealmHash = 44236,
  kRealmKey = 44237,
  kInitialMeasurement = 44238,
  kExtensibleMeasurements = 44239,
  kRealmKeyHash = 44240,
  kMecPolicy = 44243,
};
enum Part : std::int64_t { kPlatformToken = 44234, kRealmToken = 44241 };
constexpr std::uint64_t kCollection = 907;
constexpr std::int64_t kEatCwt = 263;  // CoAP's content format
constexpr std::uint64_t kSign1 = 18;
constexpr std::int64_t kAlgorithm = 1, kEs384 = -35;
constexpr std::int64_t kSecured = 0x3000;

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

/// RFC 9052, 4.2 and 4.4; no external data, no unprotected header.
Bytes sign1(const crypto::PrivateKey& key, ByteView payload) {
  const Bytes header = Cbor().map(1).integer(kAlgorithm).integer(kEs384).take();
  const Bytes to_sign =
      Cbor().array(4).text("Signature1").bytes(header).bytes({}).bytes(payload).take();
  const auto signature =
      key.sign(crypto::SignatureAlgorithm::kEcdsaP384, crypto::HashAlgorithm::kSha384, to_sign);
  TEEIO_CHECK(signature.has_value(), "a P-384 key signs");
  return Cbor().tag(kSign1).array(4).bytes(header).map(0).bytes(payload).bytes(*signature).take();
}

/// RFC 9053, 7.1: an EC2 key's type, curve and coordinates.
Bytes cose_key(const crypto::PublicKey& key) {
  constexpr std::int64_t kType = 1, kCurve = -1, kX = -2, kY = -3;
  constexpr std::int64_t kEc2 = 2, kP384 = 2;
  constexpr std::size_t kCoordinate = 48;
  const Bytes info = key.der();  // ends in the point
  const ByteView point = ByteView(info).last(2 * kCoordinate);
  return Cbor()
      .map(4)
      .integer(kType)
      .integer(kEc2)
      .integer(kCurve)
      .integer(kP384)
      .integer(kX)
      .bytes(point.first(kCoordinate))
      .integer(kY)
      .bytes(point.last(kCoordinate))
      .take();
}

/// What was loaded, and by whom it is signed. There are no images: a name stands for one.
void component(Cbor& into, std::string_view type) {
  constexpr std::int64_t kType = 1, kValue = 2, kSigner = 5, kHash = 6;
  into.map(4).integer(kType).text(type).integer(kValue).bytes(digest_of(type));
  into.integer(kSigner).bytes(digest_of("signer"));
  into.integer(kHash).text(name_of(HashAlgorithm::kSha256));
}

Bytes platform_claims(ByteView realm_key) {
  std::array<std::byte, kInstanceIdBytes> instance{};
  instance[0] = std::byte{1};  // RAND
  std::ranges::copy(digest_of("platform").view(), instance.begin() + 1);
  Cbor claims;
  claims.map(8).integer(kChallenge).bytes(crypto::hash(crypto::HashAlgorithm::kSha256, realm_key));
  claims.integer(kInstance).bytes(instance);
  claims.integer(kProfile).text(kPlatformProfile);
  claims.integer(kLifecycle).integer(kSecured);
  claims.integer(kImplementation).bytes(digest_of("implementation"));
  claims.integer(kComponents).array(2);
  component(claims, "RMM");
  component(claims, "BL31");
  constexpr std::array<std::byte, 4> kNoConfig{};
  claims.integer(kConfig).bytes(kNoConfig);
  claims.integer(kPlatformHash).text(name_of(HashAlgorithm::kSha256));
  return claims.take();
}

}  // namespace

Attestation::Attestation() : platform_key_(key_of(kPlatformSeed)), realm_key_(key_of(kRealmSeed)) {
  const crypto::SeededRandom random(kPlatformSeed);
  realm_public_ = cose_key(realm_key_.public_key());
  platform_token_ = sign1(platform_key_, platform_claims(realm_public_));
}

Bytes Attestation::claims(const Measurements& measurements, const RealmIdentity& realm,
                          ByteView challenge) const {
  Cbor claims;
  claims.map(10).integer(kChallenge).bytes(challenge);
  claims.integer(kInstance).bytes(realm.instance);
  claims.integer(kPersonalisation).bytes(realm.personalisation);
  claims.integer(kRealmKey).bytes(realm_public_);
  claims.integer(kRealmHash).text(name_of(measurements.algorithm()));
  claims.integer(kRealmKeyHash).text(name_of(HashAlgorithm::kSha256));
  claims.integer(kMecPolicy).integer(0);  // shared: this memory has one key for all realms
  claims.integer(kProfile).text(kRealmProfile);
  claims.integer(kInitialMeasurement).bytes(measurements.value(0));
  claims.integer(kExtensibleMeasurements).array(Measurements::kSlots - 1);
  for (std::size_t slot = 1; slot < Measurements::kSlots; ++slot)
    claims.bytes(measurements.value(slot));
  return claims.take();
}

Bytes Attestation::token(ByteView claims) const {
  Cbor token;
  token.tag(kCollection).map(2);
  token.integer(kPlatformToken).array(2).integer(kEatCwt).bytes(platform_token_);
  token.integer(kRealmToken).array(2).integer(kEatCwt).bytes(sign1(realm_key_, claims));
  return token.take();
}

}  // namespace teeio::rmm
