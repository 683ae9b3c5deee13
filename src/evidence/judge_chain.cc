// Certificates: form, signatures, validity, whose they are, DICE.
#include <fmt/format.h>

#include <algorithm>

#include "base/hex.h"
#include "crypto/chain_problem.h"
#include "evidence/clauses.h"

namespace teeio::evidence {
namespace {

void judge_signatures(const Case& c, Clauses& out) {
  const auto& chain = c.statement.chain->chain;
  if (c.policy.roots.empty())
    return out.refuse("chain.signatures",
                      "no root is trusted: name one with --root or in the policy");
  const crypto::TrustAnchors anchors(c.policy.roots);
  const auto problem = crypto::chain_problem(chain, anchors);
  out.decide(
      "chain.signatures", !problem,
      problem ? *problem
              : fmt::format("{} certificates, up to a trusted root", chain.certificates().size()));
}

void judge_usage(const Case& c, Clauses& out) {
  const auto problem = crypto::usage_problem(c.statement.chain->chain, crypto::SpdmEnd::kResponder);
  out.decide("chain.usage", !problem,
             std::string(problem.value_or("the leaf certificate may authenticate a device")));
}

void judge_validity(const Case& c, Clauses& out) {
  if (!c.policy.judge_validity) return out.skip("chain.validity", "the policy ignores it");
  const auto problem = crypto::validity_problem(c.statement.chain->chain, c.now.unix_time);
  out.decide("chain.validity", !problem, problem.value_or("all certificates are valid now"));
}

void judge_identity(const Case& c, Clauses& out) {
  const CertificateView& leaf = c.statement.certificates.back();
  const auto& keys = c.policy.leaf_keys;
  if (keys.empty())
    out.skip("identity.key", "the policy names no key; it is " + to_hex(leaf.key_digest));
  else
    out.decide("identity.key", std::ranges::find(keys, leaf.key_digest) != keys.end(),
               "the device's key is " + to_hex(leaf.key_digest));
  const auto& wanted = c.policy.device_info;
  if (!wanted)
    out.skip("identity.device", "the policy names no device");
  else
    out.decide("identity.device", leaf.facts.device_info == *wanted,
               leaf.facts.device_info.empty() ? "the leaf certificate names no device"
                                              : "the device is " + leaf.facts.device_info);
}

void judge_ueid(const Case& c, Clauses& out) {
  if (!c.policy.ueid) return out.skip("identity.ueid", "the policy names no UEID");
  bool found = false;
  for (const CertificateView& one : c.statement.certificates) {
    if (one.dice.ueid.empty()) continue;
    // TCG: the same device in all of its certificates.
    if (one.dice.ueid != *c.policy.ueid)
      return out.refuse("identity.ueid", "a certificate is of " + to_hex(one.dice.ueid));
    found = true;
  }
  out.decide("identity.ueid", found,
             found ? "the UEID is " + to_hex(*c.policy.ueid) : "no certificate has a UEID");
}

template <class T>
bool is_as_wanted(const std::optional<T>& wanted, const std::optional<T>& have) {
  return !wanted || (have && *have == *wanted);
}

bool is(const WantedTcb& wanted, const crypto::DiceTcbInfo& have) {
  return is_as_wanted(wanted.vendor, have.vendor) && is_as_wanted(wanted.model, have.model) &&
         is_as_wanted(wanted.layer, have.layer);
}

/// Empty: it is as wanted.
std::string tcb_problem(const WantedTcb& wanted, const crypto::DiceTcbInfo& have) {
  if (!is_as_wanted(wanted.version, have.version))
    return "its version is " + have.version.value_or("not there");
  if (wanted.least_svn && (!have.svn || *have.svn < *wanted.least_svn))
    return have.svn ? fmt::format("its SVN {} is below {}", *have.svn, *wanted.least_svn)
                    : "it has no SVN";
  const bool has_fwid = std::ranges::any_of(have.fwids, [&](const crypto::DiceFwid& fwid) {
    return std::ranges::find(wanted.fwids, fwid.digest) != wanted.fwids.end();
  });
  if (!wanted.fwids.empty() && !has_fwid) return "its FWIDs are others";
  const std::uint32_t set = have.flags.value_or(0) & wanted.refused_flags;
  for (unsigned bit = 0; bit < 32; ++bit)
    if ((set >> bit & 1U) != 0)
      return fmt::format("its flag {} is set", crypto::dice_flag_name(bit));
  return {};
}

/// All layers that a wanted one describes must be right, and there must be one.
void judge_tcb(const Case& c, const WantedTcb& wanted, const std::string& id, Clauses& out) {
  unsigned found = 0;
  for (const CertificateView& one : c.statement.certificates)
    for (const crypto::DiceTcbInfo& have : one.dice.tcb) {
      if (!is(wanted, have)) continue;
      ++found;
      if (const std::string problem = tcb_problem(wanted, have); !problem.empty())
        return out.refuse(id, "a DiceTcbInfo is not as wanted: " + problem);
    }
  out.decide(id, found != 0,
             found != 0 ? fmt::format("{} DiceTcbInfo as wanted", found)
                        : "no certificate has such a DiceTcbInfo");
}

void judge_dice(const Case& c, Clauses& out) {
  for (const CertificateView& one : c.statement.certificates)
    if (!one.dice.problem.empty())
      return out.refuse("chain.dice", fmt::format("{}: {}", one.facts.subject, one.dice.problem));
  if (c.policy.tcb.empty()) return out.skip("chain.dice", "the policy wants no DiceTcbInfo");
  for (std::size_t i = 0; i < c.policy.tcb.size(); ++i)
    judge_tcb(c, c.policy.tcb[i],
              c.policy.tcb.size() == 1 ? "chain.dice" : fmt::format("chain.dice.{}", i + 1), out);
}

}  // namespace

void judge_chain(const Case& c, Clauses& out) {
  if (!c.statement.chain) {
    out.refuse("chain.form", c.statement.chain_problem);
    return out.skip("chain.signatures", "the chain cannot be read");
  }
  out.decide("chain.form", c.statement.names_its_root,
             c.statement.names_its_root
                 ? fmt::format("{} certificates, and the root hash is the first one's",
                               c.statement.certificates.size())
                 : "the root hash is not the first certificate's");
  judge_signatures(c, out);
  judge_usage(c, out);
  judge_validity(c, out);
  judge_identity(c, out);
  judge_ueid(c, out);
  judge_dice(c, out);
}

}  // namespace teeio::evidence
