// CCA tokens of the corpus.
#include <fmt/format.h>

#include "base/check.h"
#include "base/hex.h"
#include "crypto/hash.h"
#include "crypto/key_text.h"
#include "crypto/keys.h"
#include "evidence/corpus_device.h"
#include "evidence/corpus_guests.h"
#include "wire/cca_token.h"

namespace teeio::evidence {
namespace {

constexpr std::string_view kSha256 = "sha-256";

Bytes digest_of(std::string_view text) {
  const crypto::Digest digest = crypto::hash(crypto::HashAlgorithm::kSha256, bytes_of_text(text));
  return {digest.view().begin(), digest.view().end()};
}

wire::CoseEcKey cose_key(const crypto::PublicKey& key) {
  constexpr std::size_t kPoint = 96;
  const Bytes der = key.der();
  const ByteView point = ByteView(der).last(kPoint);
  return {.point = Bytes(point.begin(), point.end())};
}

Bytes signed_by(const crypto::PrivateKey& key, Bytes claims) {
  auto one = wire::CoseSign1::of(std::move(claims), wire::CoseAlgorithm::kEs384);
  auto signature = key.sign(crypto::SignatureAlgorithm::kEcdsaP384, crypto::HashAlgorithm::kSha384,
                            one.to_sign());
  TEEIO_CHECK(signature.has_value(), "the corpus cannot be made");
  one.signature = std::move(*signature);
  return one.encode();
}

Bytes ueid(std::string_view name) {
  Bytes out(1, std::byte{1});
  const Bytes digest = digest_of(name);
  out.insert(out.end(), digest.begin(), digest.end());
  return out;
}

wire::CcaComponent component(std::string type, std::string_view image) {
  return {.type = std::move(type),
          .value = digest_of(image),
          .version = "1.0",
          .signer = digest_of("corpus signer"),
          .hash = std::string(kSha256)};
}

/// Keys and claims of a platform and of a realm on it.
class Maker {
 public:
  [[nodiscard]] wire::CcaPlatformClaims platform() const {
    const crypto::Digest key =
        crypto::hash(crypto::HashAlgorithm::kSha256, cose_key(realm_.public_key()).encode());
    return {.profile = "tag:arm.com,2023:cca_platform#1.0.0",
            .challenge = Bytes(key.view().begin(), key.view().end()),
            .implementation = digest_of("corpus implementation"),
            .instance = ueid("corpus platform"),
            .config = Bytes(4),
            .lifecycle = 0x3000,
            .components = {component("RMM", "corpus RMM 2.0"), component("BL31", "corpus BL31")},
            .service = std::nullopt,
            .hash = std::string(kSha256)};
  }
  [[nodiscard]] wire::CcaRealmClaims realm(unsigned challenge = 0xa5) const {
    const auto octet = static_cast<std::byte>(challenge);
    wire::CcaRealmClaims claims{.profile = "tag:arm.com,2024:realm#2.0.0",
                                .challenge = Bytes(wire::kCcaChallengeSize, octet),
                                .instance = ueid("corpus realm"),
                                .personalization = Bytes(wire::kCcaPersonalizationSize),
                                .public_key = cose_key(realm_.public_key()).encode(),
                                .hash = std::string(kSha256),
                                .public_key_hash = std::string(kSha256),
                                .private_mec = false,
                                .initial = digest_of("corpus realm image"),
                                .extensible = {}};
    claims.extensible.fill(Bytes(32));
    claims.extensible[0] = digest_of("corpus boot loader");
    return claims;
  }
  [[nodiscard]] Bytes token(const wire::CcaPlatformClaims& platform,
                            const wire::CcaRealmClaims& realm) const {
    return wire::CcaToken{.platform = signed_by(platform_, platform.encode()),
                          .realm = signed_by(realm_, realm.encode())}
        .encode();
  }
  [[nodiscard]] const crypto::PrivateKey& platform_key() const { return platform_; }
  [[nodiscard]] const crypto::PrivateKey& realm_key() const { return realm_; }

 private:
  crypto::PrivateKey platform_ = crypto::PrivateKey::generate(crypto::KeyType::kP384);
  crypto::PrivateKey realm_ = crypto::PrivateKey::generate(crypto::KeyType::kP384);
};

void add_policies(const Maker& maker, std::vector<CorpusFile>& files) {
  files.push_back(
      {"cpak.pem", bytes_of_text(crypto::public_key_pem(maker.platform_key().public_key()))});
  const std::string head = "[cca]\nplatform_keys = [\"cpak.pem\"]\n";
  const std::string realm =
      fmt::format("[cca.realm]\ninitial = [\"{}\"]\n", to_hex(maker.realm().initial));
  const std::string rmm =
      fmt::format("\n[[cca.component]]\ntype = \"RMM\"\nvalue = [\"{}\"]\nsigner = [\"{}\"]\n",
                  to_hex(digest_of("corpus RMM 2.0")), to_hex(digest_of("corpus signer")));
  files.push_back(
      {"cca.toml",
       bytes_of_text(fmt::format(
           "# One realm on one kind of platform.\n{}implementation = [\"{}\"]\n"
           "{}\n{}personalization = [\"{}\"]\n\n[[cca.realm.extensible]]\n"
           "index = 0\nvalue = [\"{}\"]\n",
           head, to_hex(maker.platform().implementation), rmm, realm,
           to_hex(maker.realm().personalization), to_hex(digest_of("corpus boot loader"))))});
  files.push_back(
      {"cca-exact.toml",
       bytes_of_text("# No software that the policy does not name, and memory with a key "
                     "of its own.\n" +
                     head + "others = \"refused\"\n" + rmm + "\n" + realm +
                     "mec = \"private\"\n")});
}

}  // namespace

std::vector<GuestExample> cca_examples(std::vector<CorpusFile>& files) {
  const Maker maker;
  const Maker other;
  add_policies(maker, files);
  std::vector<GuestExample> out;
  const auto add = [&](std::string name, Bytes file, std::vector<std::string> clauses,
                       std::string what, std::string policy = "cca.toml") {
    out.push_back({"cca-" + std::move(name), std::move(policy), std::move(file), std::move(clauses),
                   std::move(what)});
  };
  const auto realm_is = [&](auto change) {
    wire::CcaRealmClaims realm = maker.realm();
    change(realm);
    return maker.token(maker.platform(), realm);
  };
  const auto platform_is = [&](auto change) {
    wire::CcaPlatformClaims platform = maker.platform();
    change(platform);
    return maker.token(platform, maker.realm());
  };
  const Bytes good = maker.token(maker.platform(), maker.realm());
  add("good", good, {}, "a realm's CCA token: the right platform, realm and challenge");
  add("stale", maker.token(maker.platform(), maker.realm(0x11)), {"freshness.challenge"},
      "a CCA token for an earlier challenge");
  wire::CcaToken parts = *wire::CcaToken::decode(good);
  auto cose = *wire::CoseSign1::decode(parts.realm);
  auto altered = maker.realm();
  altered.extensible[1] = digest_of("corpus something else");
  cose.payload = altered.encode();
  wire::CcaToken changed = parts;
  changed.realm = cose.encode();
  add("altered", changed.encode(), {"realm.signature"},
      "a measurement of the realm is another than was signed");
  changed.realm = signed_by(other.realm_key(), maker.realm().encode());
  add("other-key", changed.encode(), {"realm.signature"},
      "signed by another key than the token names");
  changed.realm = signed_by(other.realm_key(), other.realm().encode());
  add("other-realm-key", changed.encode(), {"realm.binding"},
      "a realm key of somebody's own making, beside a genuine platform");
  add("other-platform", other.token(other.platform(), other.realm()), {"platform.signature"},
      "all of it by the keys of a platform that nobody trusts");
  changed = parts;
  changed.platform.reset();
  add("no-platform", changed.encode(), {"platform.form"}, "the realm token alone");
  add("other-image", realm_is([](auto& realm) { realm.initial = digest_of("another image"); }),
      {"realm.initial"}, "a realm that was built of something else");
  add("extended", realm_is([](auto& realm) { realm.extensible[0] = digest_of("another loader"); }),
      {"realm.extensible.0"}, "the right image that then loaded something else");
  add("other-owner",
      realm_is([](auto& realm) { realm.personalization = Bytes(64, std::byte{0xaa}); }),
      {"realm.personalization"}, "the right image with another personalization value");
  add("debug-platform", platform_is([](auto& platform) { platform.lifecycle = 0x5000; }),
      {"platform.lifecycle"}, "a platform whose root of trust can be debugged");
  add("old-rmm",
      platform_is([](auto& platform) { platform.components[0].value = digest_of("RMM 1.0"); }),
      {"platform.component.RMM"}, "a monitor that the policy does not know");
  add("unnamed", good, {"platform.others", "realm.mec"},
      "software that the policy does not name, and memory with a key that is shared",
      "cca-exact.toml");
  add("other-profile", realm_is([](auto& realm) { realm.profile = "tag:example.org:realm"; }),
      {"realm.form"}, "a realm token of a profile that nobody knows");
  add("cut", Bytes(good.begin(), good.end() - 20), {"token.form"}, "a CCA token that ends early");
  add(
      "longer",
      [&] {
        Bytes longer = good;
        longer.push_back(std::byte{0});
        return longer;
      }(),
      {"token.form"}, "one byte behind a CCA token");
  return out;
}

}  // namespace teeio::evidence
