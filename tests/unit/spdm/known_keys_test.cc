// Keys that one end was given beforehand: what a requester and a responder make of them together.
#include <gtest/gtest.h>

#include "unit/spdm/ends.h"
#include "wire/spdm_session.h"

namespace teeio::spdm {
namespace {

constexpr std::array kVersions{wire::kSpdmVersion11, wire::kSpdmVersion12, wire::kSpdmVersion13,
                               wire::kSpdmVersion14};

ResponderConfig without_certificates() {
  ResponderConfig config = Ends::responder_config();
  config.settings.flags =
      (default_responder_flags() & ~wire::kSpdmCapCert) | wire::kSpdmCapPubKeyId;
  return config;
}

RequesterConfig requester_of(std::uint8_t version) {
  RequesterConfig config = Ends::requester_config();
  config.settings.versions = {version};
  return config;
}

RequesterConfig with_peer_key(std::uint8_t version, const crypto::PublicKey& key) {
  RequesterConfig config = requester_of(version);
  config.peer_key = key;
  return config;
}

const crypto::PublicKey& device_key() { return pki().device.key.public_key(); }

TEST(KnownResponderKey, SignsChallengeMeasurementsAndASession) {
  for (const std::uint8_t version : kVersions) {
    Ends ends(with_peer_key(version, device_key()), without_certificates());
    ends.requester.connect();
    ends.requester.challenge(kKnownKey);
    ends.requester.measure({.slot = kKnownKey});
    ends.requester.open_session({.slot = kKnownKey});
    const auto done = ends.run();
    ASSERT_TRUE(done) << done.error().why << " in " << unsigned{version};
    ends.requester.measure({.session = *ends.requester.last_session(), .slot = kKnownKey});
    ASSERT_TRUE(ends.run()) << unsigned{version};
    EXPECT_FALSE(ends.requester.measurement_record().signature.empty());
  }
}

TEST(KnownResponderKey, OfAnotherDeviceHolds) {
  for (const auto start : {+[](Requester& r) { r.challenge(kKnownKey); },
                           +[](Requester& r) { r.measure({.slot = kKnownKey}); },
                           +[](Requester& r) { r.open_session({.slot = kKnownKey}); }}) {
    const auto other = crypto::PrivateKey::generate(crypto::KeyType::kP384);
    Ends ends(with_peer_key(wire::kSpdmVersion12, other.public_key()), without_certificates());
    ends.requester.connect();
    start(ends.requester);
    EXPECT_EQ(ends.run().error().code, Errno::kPerm);
  }
}

TEST(KnownResponderKey, IsNoneWhereOneEndHasIt) {
  Ends not_given(requester_of(wire::kSpdmVersion12), without_certificates());
  not_given.requester.connect();
  not_given.requester.open_session({.slot = kKnownKey});
  EXPECT_EQ(not_given.run().error().code, Errno::kNxio);
  Ends not_said(with_peer_key(wire::kSpdmVersion12, device_key()), Ends::responder_config());
  not_said.requester.connect();
  not_said.requester.challenge(kKnownKey);
  EXPECT_EQ(not_said.run().error().code, Errno::kNxio);
}

/// A requester without certificates, whose key is slot 0's of `credentials`.
RequesterConfig with_own_key(std::uint8_t version, Credentials& credentials) {
  RequesterConfig config = requester_of(version);
  config.credentials = &credentials;
  config.peer_has_own_key = true;
  config.settings.flags = default_requester_flags() | wire::kSpdmCapCert | wire::kSpdmCapChal |
                          wire::kSpdmCapMutAuth | wire::kSpdmCapEncap;
  config.settings.algorithms.req_base_asym = std::to_underlying(wire::SpdmAsym::kEcdsaP256);
  return config;
}

ResponderConfig asking_for(const std::optional<crypto::PublicKey>& key) {
  ResponderConfig config = Ends::responder_config();
  config.settings.flags = default_responder_flags() | wire::kSpdmCapMutAuth | wire::kSpdmCapEncap;
  config.settings.algorithms.req_base_asym = std::to_underlying(wire::SpdmAsym::kEcdsaP256);
  config.mutual_auth = MutualAuth::kRequired;
  config.requester_key = key;
  return config;
}

const crypto::Identity& requester_identity() { return pki(crypto::KeyType::kP256).device; }

TEST(KnownRequesterKey, ProvesItselfWithoutCertificates) {
  FixedCredentials own(requester_identity());
  for (const std::uint8_t version : kVersions) {
    if (version == wire::kSpdmVersion11) continue;  // 1.1 wants ENCAP_CAP, which is there: below
    Ends ends(with_own_key(version, own), asking_for(requester_identity().key.public_key()));
    const auto session = ends.open_session();
    ASSERT_TRUE(session) << session.error().why << " in " << unsigned{version};
    for (const std::string& name : ends.requester_saw.names)
      EXPECT_EQ(name.find("ENCAPSULATED"), std::string::npos) << name;
    EXPECT_TRUE((*ends.requester.negotiated()).own_flags & wire::kSpdmCapPubKeyId);
    EXPECT_FALSE((*ends.requester.negotiated()).own_flags & wire::kSpdmCapCert);
  }
}

TEST(KnownRequesterKey, ProvesItselfInVersion11) {
  FixedCredentials own(requester_identity());
  Ends ends(with_own_key(wire::kSpdmVersion11, own),
            asking_for(requester_identity().key.public_key()));
  EXPECT_TRUE(ends.open_session());
}

TEST(KnownRequesterKey, OfAnotherOpensNothing) {
  FixedCredentials own(requester_identity());
  const auto other = crypto::PrivateKey::generate(crypto::KeyType::kP256);
  Ends ends(with_own_key(wire::kSpdmVersion12, own), asking_for(other.public_key()));
  const auto session = ends.open_session();
  ASSERT_FALSE(session);
  EXPECT_EQ(ends.requester.last_error()->code,
            std::to_underlying(wire::SpdmErrorCode::kDecryptError));
  EXPECT_FALSE(ends.requester.last_session());
}

TEST(KnownRequesterKey, IsWantedOfWhomItIsRequired) {
  FixedCredentials own(requester_identity());
  Ends not_given(with_own_key(wire::kSpdmVersion13, own), asking_for(std::nullopt));
  EXPECT_FALSE(not_given.open_session());
  EXPECT_EQ(not_given.requester.last_error()->code,
            std::to_underlying(wire::SpdmErrorCode::kInvalidPolicy));
}

/// MutAuthRequested and ReqSlotID of KEY_EXCHANGE_RSP, as another responder has them.
Result<std::uint32_t> asked_otherwise(RequesterConfig asks, std::uint8_t how, std::uint8_t slot) {
  constexpr std::size_t kHow = 6, kSlot = 7;
  Ends ends(std::move(asks), asking_for(requester_identity().key.public_key()));
  ends.bend_answer = [=](Message& answer) {
    if (answer.bytes.at(1) != std::byte{std::to_underlying(wire::SpdmCode::kKeyExchangeRsp)})
      return;
    answer.bytes.at(kHow) = std::byte{how};
    answer.bytes.at(kSlot) = std::byte{slot};
  };
  return ends.open_session();
}

TEST(KnownRequesterKey, IsNotMixedUpWithCertificates) {
  FixedCredentials own(requester_identity());
  const RequesterConfig known = with_own_key(wire::kSpdmVersion12, own);
  EXPECT_EQ(asked_otherwise(known, wire::kSpdmMutAuthEncapsulated, 0).error().why,
            "KEY_EXCHANGE_RSP wants certificates of a key that is known");
  EXPECT_EQ(asked_otherwise(known, wire::kSpdmMutAuth, 3).error().why,
            "KEY_EXCHANGE_RSP wants a key that this end does not have");
  RequesterConfig certified = known;
  certified.peer_has_own_key = false;
  EXPECT_EQ(asked_otherwise(certified, wire::kSpdmMutAuth, kKnownKeyInFourBits).error().why,
            "KEY_EXCHANGE_RSP wants a key that this end does not have");
}

}  // namespace
}  // namespace teeio::spdm
