// A realm's token: the platform, what binds the realm to it, the realm.
#include <fmt/format.h>

#include <algorithm>

#include "base/hex.h"
#include "evidence/cca.h"
#include "evidence/clauses.h"

namespace teeio::evidence {
namespace {

constexpr std::string_view kPlatformProfiles[] = {"tag:arm.com,2023:cca_platform#1.0.0",
                                                  "http://arm.com/CCA-SSD/1.0.0"};
constexpr std::string_view kRealmProfiles[] = {"tag:arm.com,2023:realm#1.0.0",
                                               "tag:arm.com,2024:realm#2.0.0"};

struct CcaCase {
  const CcaStatement& statement;
  const CcaPolicy& policy;
  const Circumstances& now;
};

/// IANA's registry "Named Information Hash Algorithm", as far as tokens go.
std::optional<crypto::HashAlgorithm> hash_of(std::string_view name) {
  if (name == "sha-256") return crypto::HashAlgorithm::kSha256;
  if (name == "sha-384") return crypto::HashAlgorithm::kSha384;
  if (name == "sha-512") return crypto::HashAlgorithm::kSha512;
  return std::nullopt;
}

bool is_signed_by(const wire::CoseSign1& cose, const crypto::PublicKey& key) {
  const auto signing = cose_signing(cose.algorithm);
  return signing &&
         key.verify(signing->algorithm, signing->hash, cose.to_sign(), cose.signature).has_value();
}

void judge_platform_signature(const CcaCase& c, Clauses& out) {
  const auto& keys = c.policy.platform_keys;
  const wire::CoseSign1& cose = *c.statement.platform.cose;
  if (keys.empty())
    return out.refuse("platform.signature",
                      "no platform key is trusted: name one with --platform-key or in the policy");
  const auto by = std::ranges::find_if(
      keys, [&](const crypto::PublicKey& key) { return is_signed_by(cose, key); });
  if (by == keys.end())
    return out.refuse("platform.signature", "it is not by a platform key that is trusted");
  out.hold("platform.signature", "by a platform key that is trusted");
  const bool model = std::ranges::find(c.now.model_keys, *by) != c.now.model_keys.end();
  if (!model) return out.hold("platform.model", "the key is not the model's");
  constexpr std::string_view kModel =
      "the platform is teeio's model, whose key everybody has: it proves nothing";
  out.decide("platform.model", c.policy.allow_model, std::string(kModel));
}

void judge_component(const WantedComponent& wanted, const wire::CcaPlatformClaims& platform,
                     Clauses& out) {
  const auto fits = [](const std::vector<Bytes>& any, const Bytes& have) {
    return any.empty() || std::ranges::find(any, have) != any.end();
  };
  const std::string id = "platform.component." + wanted.type;
  unsigned found = 0;
  for (const wire::CcaComponent& one : platform.components) {
    if (one.type != wanted.type) continue;
    ++found;
    if (!fits(wanted.values, one.value) || !fits(wanted.signers, one.signer))
      return out.refuse(
          id, fmt::format("it is {}, signed by {}", to_hex(one.value), to_hex(one.signer)));
  }
  out.decide(id, found != 0, found != 0 ? "as wanted" : "there is no such component");
}

void judge_components(const CcaCase& c, const wire::CcaPlatformClaims& platform, Clauses& out) {
  for (const WantedComponent& wanted : c.policy.components) judge_component(wanted, platform, out);
  if (c.policy.allow_other_components)
    return out.skip("platform.others", "the policy allows other components");
  for (const wire::CcaComponent& one : platform.components) {
    const bool named = std::ranges::any_of(c.policy.components, [&](const WantedComponent& wanted) {
      return one.type == wanted.type;
    });
    if (!named)
      return out.refuse("platform.others", "there is " + one.type.value_or("one without a type"));
  }
  out.hold("platform.others", "there are no other components");
}

void judge_lifecycle(const CcaCase& c, const wire::CcaPlatformClaims& platform, Clauses& out) {
  const std::string state(wire::cca_lifecycle_name(platform.lifecycle));
  out.decide("platform.lifecycle",
             std::ranges::find(c.policy.lifecycles, state) != c.policy.lifecycles.end(),
             fmt::format("the platform is {} ({:#x})", state, platform.lifecycle));
}

/// What is wrong with the claims beyond their form; empty: nothing.
std::string platform_problem(const wire::CcaPlatformClaims& claims) {
  if (std::ranges::find(kPlatformProfiles, claims.profile) == std::end(kPlatformProfiles))
    return "its profile is unknown: " + claims.profile;
  if (!hash_of(claims.hash)) return "its hash is unknown: " + claims.hash;
  return {};
}
std::string realm_problem(const wire::CcaRealmClaims& claims) {
  if (claims.profile &&
      std::ranges::find(kRealmProfiles, *claims.profile) == std::end(kRealmProfiles))
    return "its profile is unknown: " + *claims.profile;
  const auto hash = hash_of(claims.hash);
  if (!hash) return "its hash is unknown: " + claims.hash;
  if (crypto::hash_size(*hash) != claims.initial.size())
    return "its measurements are not of the hash that it names";
  return {};
}

void judge_platform(const CcaCase& c, Clauses& out) {
  const CcaStatement& s = c.statement;
  if (!s.has_platform)
    return out.refuse("platform.form",
                      "there is no platform token: nobody vouches for the realm's key");
  if (!s.platform.claims) return out.refuse("platform.form", s.platform.problem);
  const wire::CcaPlatformClaims& claims = *s.platform.claims;
  const std::string problem = platform_problem(claims);
  out.decide("platform.form", problem.empty(), problem.empty() ? claims.profile : problem);
  judge_platform_signature(c, out);
  judge_lifecycle(c, claims, out);
  out.one_of("platform.implementation", "the implementation", c.policy.implementations,
             claims.implementation);
  out.one_of("platform.instance", "the instance", c.policy.instances, claims.instance);
  judge_components(c, claims, out);
}

/// DEN0137, A7.2.2: the platform's challenge is the hash of the realm's key.
void judge_realm_binding(const CcaCase& c, Clauses& out) {
  const CcaStatement& s = c.statement;
  if (!s.platform.claims) return out.skip("realm.binding", "there is no platform to vouch for it");
  const auto hash = hash_of(s.realm.claims->public_key_hash);
  if (!hash)
    return out.refuse("realm.binding",
                      "the hash of its key is unknown: " + s.realm.claims->public_key_hash);
  const crypto::Digest digest = crypto::hash(*hash, s.realm.claims->public_key);
  const bool bound = std::ranges::equal(digest.view(), s.platform.claims->challenge);
  out.decide("realm.binding", bound,
             bound ? "the platform vouches for the realm's key"
                   : "the platform vouches for another key than the realm's");
}

void judge_realm_signature(const CcaCase& c, Clauses& out) {
  const CcaStatement& s = c.statement;
  if (!s.realm_key) return out.refuse("realm.signature", s.key_problem);
  const bool holds = is_signed_by(*s.realm.cose, *s.realm_key);
  out.decide("realm.signature", holds,
             holds ? "by the key that it names" : "it is not by the key that it names");
}

void judge_challenge(const CcaCase& c, Clauses& out) {
  constexpr auto kId = "freshness.challenge";
  if (!c.policy.challenge_required) return out.skip(kId, "the policy ignores it");
  if (!c.now.nonce) return out.refuse(kId, "no challenge is known: give it with --nonce");
  const bool same = *c.now.nonce == c.statement.realm.claims->challenge;
  out.decide(kId, same,
             same ? "the challenge is yours"
                  : "it is for the challenge " + to_hex(c.statement.realm.claims->challenge));
}

void judge_realm(const CcaCase& c, Clauses& out) {
  const CcaStatement& s = c.statement;
  if (!s.realm.claims) return out.refuse("realm.form", s.realm.problem);
  const wire::CcaRealmClaims& claims = *s.realm.claims;
  const std::string problem = realm_problem(claims);
  out.decide("realm.form", problem.empty(),
             problem.empty() ? claims.profile.value_or("without a profile, as RMM 1.0") : problem);
  judge_realm_signature(c, out);
  judge_realm_binding(c, out);
  judge_challenge(c, out);
  out.one_of("realm.initial", "the initial measurement", c.policy.initial, claims.initial);
  for (std::size_t i = 0; i < claims.extensible.size(); ++i)
    out.one_of(fmt::format("realm.extensible.{}", i), "the measurement", c.policy.extensible.at(i),
               claims.extensible.at(i));
  out.one_of("realm.personalization", "the value", c.policy.personalization,
             claims.personalization);
  const bool is_private = claims.private_mec.value_or(false);
  if (!c.policy.private_mec) return out.skip("realm.mec", "the policy takes any");
  out.decide("realm.mec", is_private,
             is_private ? "the realm's memory has a key of its own"
                        : "the realm's memory shares its key, or the token does not say");
}

}  // namespace

std::vector<Clause> judge(const CcaStatement& statement, const CcaPolicy& policy,
                          const Circumstances& now) {
  Clauses out;
  if (!statement.problem.empty()) {
    out.refuse("token.form", statement.problem);
    return out.take();
  }
  out.hold("token.form", fmt::format("a CCA token of {} bytes", statement.file.size()));
  const CcaCase c{statement, policy, now};
  judge_platform(c, out);
  judge_realm(c, out);
  return out.take();
}

}  // namespace teeio::evidence
