#include "wire/cca_token.h"

#include <gtest/gtest.h>

#include "base/hex.h"
#include "wire/cbor.h"

namespace teeio::wire {
namespace {

CcaPlatformClaims platform() {
  Bytes instance(kCcaInstanceSize, std::byte{2});
  instance[0] = std::byte{1};
  return {.profile = "tag:arm.com,2023:cca_platform#1.0.0",
          .challenge = Bytes(32, std::byte{0xc0}),
          .implementation = Bytes(32, std::byte{0x1d}),
          .instance = instance,
          .config = Bytes(4),
          .lifecycle = 0x3001,
          .components = {{.type = "RMM",
                          .value = Bytes(32, std::byte{3}),
                          .version = std::nullopt,
                          .signer = Bytes(48, std::byte{4}),
                          .hash = "sha-256"},
                         {.type = std::nullopt,
                          .value = Bytes(64),
                          .version = "1.2",
                          .signer = Bytes(32),
                          .hash = std::nullopt}},
          .service = "https://verifier.example",
          .hash = "sha-256"};
}

CcaRealmClaims realm() {
  CcaRealmClaims claims{.profile = "tag:arm.com,2024:realm#2.0.0",
                        .challenge = Bytes(64, std::byte{0xa5}),
                        .instance = Bytes(33, std::byte{1}),
                        .personalization = Bytes(64, std::byte{6}),
                        .public_key = Bytes(5, std::byte{8}),
                        .hash = "sha-512",
                        .public_key_hash = "sha-256",
                        .private_mec = true,
                        .initial = Bytes(64, std::byte{9}),
                        .extensible = {}};
  claims.extensible.fill(Bytes(64));
  return claims;
}

template <class Claims>
std::string problem(const Claims& claims) {
  const auto read = Claims::decode(claims.encode());
  return read ? "" : std::string(read.error().why);
}

template <class Claims, class Change>
std::string problem_of(Claims claims, Change change) {
  change(claims);
  return problem(claims);
}

TEST(CcaPlatformClaims, ComeBack) {
  const auto back = CcaPlatformClaims::decode(platform().encode());
  ASSERT_TRUE(back.has_value()) << back.error().why;
  EXPECT_EQ(back->encode(), platform().encode());
  EXPECT_EQ(back->unknown, 0U);
  EXPECT_EQ(back->components.at(1).version, "1.2");
  EXPECT_EQ(cca_lifecycle_name(back->lifecycle), "secured");
}

TEST(CcaPlatformClaims, EachMustBeOfItsSize) {
  const auto wrong = [](auto change) { return problem_of(platform(), change); };
  EXPECT_EQ(wrong([](auto& c) { c.challenge.pop_back(); }), "a platform's challenge is no digest");
  EXPECT_EQ(wrong([](auto& c) { c.instance[0] = std::byte{2}; }),
            "a platform's instance is no UEID of type RAND");
  EXPECT_EQ(wrong([](auto& c) { c.implementation.clear(); }),
            "a platform's implementation has not 32 bytes");
  EXPECT_EQ(wrong([](auto& c) { c.lifecycle = 0x3100; }), "a platform is in no lifecycle state");
  EXPECT_EQ(wrong([](auto& c) { c.profile.clear(); }), "a platform's claims are not complete");
  EXPECT_EQ(wrong([](auto& c) { c.hash.clear(); }), "a platform's claims are not complete");
  EXPECT_EQ(wrong([](auto& c) { c.components.clear(); }),
            "a platform has no software components, or too many");
  EXPECT_EQ(wrong([](auto& c) { c.components[1].signer.clear(); }),
            "a software component lacks its digest or its signer");
}

TEST(CcaRealmClaims, ComeBack) {
  const auto back = CcaRealmClaims::decode(realm().encode());
  ASSERT_TRUE(back.has_value()) << back.error().why;
  EXPECT_EQ(back->encode(), realm().encode());
  CcaRealmClaims plain = realm();  // as RMM 1.0 has them
  plain.profile.reset();
  plain.instance.reset();
  plain.private_mec.reset();
  EXPECT_EQ(problem(plain), "");
}

TEST(CcaRealmClaims, EachMustBeOfItsSize) {
  const auto wrong = [](auto change) { return problem_of(realm(), change); };
  EXPECT_EQ(wrong([](auto& c) { c.challenge.pop_back(); }), "a realm's challenge has not 64 bytes");
  EXPECT_EQ(wrong([](auto& c) { c.personalization.clear(); }),
            "a realm's personalization value has not 64 bytes");
  EXPECT_EQ(wrong([](auto& c) { c.instance = Bytes(32); }), "a realm's instance is no UEID");
  EXPECT_EQ(wrong([](auto& c) { c.initial.resize(32); }),
            "a realm's measurements are not of one hash");
  EXPECT_EQ(wrong([](auto& c) { c.extensible[3].clear(); }),
            "a realm's measurements are not of one hash");
  EXPECT_EQ(wrong([](auto& c) { c.public_key.clear(); }), "a realm's claims are not complete");
}

// EAT: who does not know a claim passes over it; but two of one kind have two readers.
TEST(CcaRealmClaims, OtherClaimsArePassedOverAndNoneComesTwice) {
  const Bytes claims = realm().encode();
  const ByteView pairs = ByteView(claims).subspan(1);  // behind the head of ten pairs
  const auto with = [&](const Bytes& more, std::size_t count) {
    return Writer().bytes(Cbor().map(10 + count).take()).bytes(pairs).bytes(more).take();
  };
  const auto longer = CcaRealmClaims::decode(
      with(Cbor().integer(9).map(1).text("x").array(0).text("y").integer(1).take(), 2));
  ASSERT_TRUE(longer.has_value()) << longer.error().why;
  EXPECT_EQ(longer->unknown, 2U);
  const auto twice = CcaRealmClaims::decode(with(Cbor().integer(10).bytes(Bytes(64)).take(), 1));
  ASSERT_FALSE(twice.has_value());
  EXPECT_EQ(twice.error().why, "a claim comes twice");
  EXPECT_FALSE(CcaRealmClaims::decode(with({}, 1))) << "a pair is missing";
  EXPECT_FALSE(CcaRealmClaims::decode(with(Bytes(1), 0))) << "a byte follows";
}

TEST(CoseSign1, ComesBackAndSaysWhatIsSigned) {
  CoseSign1 one = CoseSign1::of(Bytes(3, std::byte{5}), CoseAlgorithm::kEs384);
  one.signature = Bytes(96);
  EXPECT_EQ(to_hex(one.to_sign()), "846a5369676e61747572653144a10138224043050505");
  const auto back = CoseSign1::decode(one.encode());
  ASSERT_TRUE(back.has_value()) << back.error().why;
  EXPECT_EQ(back->algorithm, -35);
  EXPECT_EQ(back->encode(), one.encode());
}

TEST(CoseSign1, RefusesOtherForms) {
  const auto why = [](const Bytes& bytes) {
    const auto one = CoseSign1::decode(bytes);
    return one ? "" : std::string(one.error().why);
  };
  const auto made = [](const Bytes& header) {
    return Cbor().tag(18).array(4).bytes(header).map(0).bytes({}).bytes({}).take();
  };
  const Bytes es384 = Cbor().map(1).integer(1).integer(-35).take();
  EXPECT_EQ(why(made(es384)), "");
  EXPECT_EQ(why(made(Cbor().map(0).take())), "a COSE header names no algorithm");
  EXPECT_EQ(why(made(Cbor().map(2).integer(1).integer(-35).integer(1).integer(-7).take())),
            "a COSE header names its algorithm twice");
  EXPECT_EQ(why(made(Cbor().map(2).integer(1).integer(-35).integer(2).array(1).integer(9).take())),
            "a COSE header has critical parameters");
  EXPECT_EQ(why(made({})), "a COSE header is not CBOR");
  EXPECT_EQ(why(Cbor().array(4).bytes(es384).map(0).bytes({}).bytes({}).take()),
            "it is no COSE_Sign1 with its tag");
  EXPECT_EQ(why(Cbor().tag(18).array(4).bytes(es384).bytes({}).bytes({}).bytes({}).take()),
            "a COSE_Sign1 lacks a header");
  EXPECT_EQ(why(Writer()
                    .bytes(Cbor().tag(18).array(4).bytes(es384).map(0).take())
                    .le(std::uint8_t{0xf6})  // null: detached
                    .bytes(Cbor().bytes({}).take())
                    .take()),
            "a COSE_Sign1 has its payload elsewhere");
  Bytes longer = made(es384);
  longer.push_back(std::byte{0});
  EXPECT_EQ(why(longer), "a COSE_Sign1 is cut short, or bytes follow it");
}

TEST(CoseEcKey, ComesBackAndReadsPlainPoints) {
  for (const auto& [curve, size] :
       {std::pair(CoseEcKey::Curve::kP256, 64), std::pair(CoseEcKey::Curve::kP384, 96),
        std::pair(CoseEcKey::Curve::kP521, 132)}) {
    const CoseEcKey key{curve, Bytes(static_cast<std::size_t>(size), std::byte{7})};
    const auto back = CoseEcKey::decode(key.encode());
    ASSERT_TRUE(back.has_value()) << back.error().why;
    EXPECT_EQ(back->curve, curve);
    EXPECT_EQ(back->point, key.point);
    Bytes plain(1, std::byte{4});
    plain.insert(plain.end(), key.point.begin(), key.point.end());
    EXPECT_EQ(CoseEcKey::decode(plain)->curve, curve);
    plain.pop_back();
    EXPECT_FALSE(CoseEcKey::decode(plain));
    EXPECT_FALSE(CoseEcKey::decode(CoseEcKey{curve, Bytes(60)}.encode()));
  }
  EXPECT_FALSE(CoseEcKey::decode(CoseEcKey{CoseEcKey::Curve{4}, Bytes(64)}.encode()));
  EXPECT_FALSE(CoseEcKey::decode({}));
}

TEST(CcaToken, ComesBackAndReadsTheOlderCollection) {
  const CcaToken token{.platform = Bytes(3, std::byte{1}), .realm = Bytes(4, std::byte{2})};
  const auto back = CcaToken::decode(token.encode());
  ASSERT_TRUE(back.has_value()) << back.error().why;
  EXPECT_EQ(back->platform, token.platform);
  EXPECT_EQ(back->realm, token.realm);
  const auto older = CcaToken::decode(Cbor()
                                          .tag(399)
                                          .map(2)
                                          .integer(44234)
                                          .bytes(*token.platform)
                                          .integer(44241)
                                          .bytes(token.realm)
                                          .take());
  ASSERT_TRUE(older.has_value()) << older.error().why;
  EXPECT_EQ(older->realm, token.realm);
  EXPECT_FALSE(CcaToken::decode(CcaToken{.platform = std::nullopt, .realm = token.realm}.encode())
                   ->platform.has_value());
}

TEST(CcaToken, RefusesOtherCollections) {
  const auto why = [](const Bytes& bytes) {
    const auto token = CcaToken::decode(bytes);
    return token ? "" : std::string(token.error().why);
  };
  const auto part = [](Cbor& into, std::int64_t key, std::int64_t type = 263) {
    into.integer(key).array(2).integer(type).bytes(Bytes(2));
  };
  Cbor none, twice, other, unnamed, no_eat;
  none.tag(907).map(0);
  EXPECT_EQ(why(none.take()), "a CCA token has no realm token");
  twice.tag(907).map(2);
  part(twice, 44241);
  part(twice, 44241);
  EXPECT_EQ(why(twice.take()), "a CCA token's collection cannot be read");
  other.tag(907).map(2);
  part(other, 44241);
  part(other, 44242);
  EXPECT_EQ(why(other.take()), "a CCA token has a part of another kind");
  unnamed.tag(907).map(2).text("__cmwc_t").text("tag:arm.com,2025:cca");
  part(unnamed, 44241);
  EXPECT_EQ(why(unnamed.take()), "") << "the collection's type";
  no_eat.tag(907).map(1);
  part(no_eat, 44241, 60);
  EXPECT_EQ(why(no_eat.take()), "a part of the collection is no EAT");
  EXPECT_EQ(why(Cbor().tag(18).map(0).take()), "it is no CCA token: it lacks the tag");
  Bytes longer = CcaToken{.platform = std::nullopt, .realm = Bytes(2)}.encode();
  longer.push_back(std::byte{0});
  EXPECT_EQ(why(longer), "bytes follow the CCA token");
}

}  // namespace
}  // namespace teeio::wire
