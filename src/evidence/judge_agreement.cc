// GET_VERSION … ALGORITHMS: what was settled before anything was proved.
#include <fmt/format.h>

#include <algorithm>

#include "evidence/clauses.h"
#include "wire/spdm_algorithms.h"
#include "wire/spdm_pqc.h"

namespace teeio::evidence {
namespace {

std::string version_text(std::uint8_t version) {
  return fmt::format("{}.{}", version >> 4U, version & 0xfU);
}

void judge_version(const Case& c, Clauses& out) {
  const Agreement& agreed = *c.statement.agreement;
  const auto& allowed = c.policy.versions;
  out.decide("spdm.version", std::ranges::find(allowed, agreed.version) != allowed.end(),
             "SPDM " + version_text(agreed.version) + " was spoken");
  // Both ends take the highest that they share: a lower one says that somebody cut the
  // list, unless the requester itself knows no more.
  std::uint8_t best = 0;
  for (const std::uint8_t one : agreed.versions)
    if (std::ranges::find(allowed, one) != allowed.end()) best = std::max(best, one);
  if (c.policy.allow_downgrade) return out.skip("spdm.downgrade", "the policy allows it");
  out.decide("spdm.downgrade", best <= agreed.version,
             best <= agreed.version ? "it is the highest that device and policy share"
                                    : "the device speaks " + version_text(best) + " too");
}

std::string_view signature_name(const Agreement& agreed) {
  return agreed.base_asym != 0 ? wire::spdm_asym_name(agreed.base_asym)
                               : wire::spdm_pqc_asym_name(agreed.pqc_asym);
}

void judge_algorithms(const Case& c, Clauses& out) {
  const Agreement& agreed = *c.statement.agreement;
  const std::string hash(wire::spdm_hash_name(agreed.base_hash));
  const auto& hashes = c.policy.hashes;
  out.decide("spdm.hash", std::ranges::find(hashes, hash) != hashes.end(),
             hash.empty() ? "no hash that is known was agreed on" : hash + " was agreed on");
  const std::string asym(signature_name(agreed));
  const auto& signatures = c.policy.signatures;
  const bool allowed =
      signatures.empty() ? !asym.empty() : std::ranges::find(signatures, asym) != signatures.end();
  out.decide("spdm.signature", allowed,
             asym.empty() ? "no signature algorithm that is known was agreed on"
                          : asym + " was agreed on");
}

}  // namespace

void judge_agreement(const Case& c, Clauses& out) {
  if (!c.statement.agreement) return out.refuse("spdm.form", c.statement.agreement_problem);
  out.hold("spdm.form", "GET_VERSION to ALGORITHMS are whole");
  judge_version(c, out);
  judge_algorithms(c, out);
  constexpr std::uint8_t kFirstSigned = 0x12;  // DSP0274: L1 begins with VCA
  const bool is_signed = c.statement.agreement->is_signed;
  const std::uint8_t version = c.statement.agreement->version;
  const auto& allowed = c.policy.versions;
  // Whoever takes 1.1 by name takes what it lacks.
  if (!is_signed && version < kFirstSigned && std::ranges::find(allowed, version) != allowed.end())
    return out.skip("spdm.signed", "nobody signed it, and the policy takes such versions");
  out.decide(
      "spdm.signed", is_signed,
      is_signed ? "the signed transcript begins with it" : "nobody signed it: it can be anything");
}

}  // namespace teeio::evidence
