// A guest's report: the chip's key, the signature, what runs.
#include <fmt/format.h>

#include <algorithm>

#include "base/hex.h"
#include "crypto/chain_problem.h"
#include "crypto/dice.h"
#include "evidence/clauses.h"
#include "evidence/snp.h"

namespace teeio::evidence {
namespace {

struct SnpCase {
  const SnpStatement& statement;
  const wire::SnpReport& report;
  const Policy& policy;
  const Circumstances& now;
};

/// The certificates from the root's end to the one of the key, in whatever order they came;
/// nullopt where none is a key's. AMD gives them as three files, or ASK before ARK (57230).
std::optional<crypto::CertificateChain> ordered(const std::vector<crypto::Certificate>& any) {
  const auto leaf =
      std::ranges::find_if(any, [](const crypto::Certificate& one) { return !one.is_ca(); });
  if (leaf == any.end()) return std::nullopt;
  std::vector<crypto::Certificate> up{*leaf};
  while (!up.back().is_self_issued() && up.size() <= any.size()) {
    const std::string issuer = crypto::certificate_facts(up.back()).issuer;
    const auto above = std::ranges::find_if(any, [&](const crypto::Certificate& one) {
      return one.is_ca() && one.subject() == issuer;
    });
    if (above == any.end()) break;
    up.push_back(*above);
  }
  std::ranges::reverse(up);
  return crypto::CertificateChain::of(std::move(up));
}

void judge_certificates(const SnpCase& c, const crypto::CertificateChain& chain, Clauses& out) {
  if (c.policy.roots.empty())
    return out.refuse("chain.signatures",
                      "no root is trusted: name one with --root or in the policy");
  const auto problem = crypto::chain_problem(chain, crypto::TrustAnchors(c.policy.roots));
  out.decide("chain.signatures", !problem,
             problem.value_or(fmt::format("{} certificates, up to a trusted root",
                                          chain.certificates().size())));
  if (!c.policy.judge_validity) return out.skip("chain.validity", "the policy ignores it");
  const auto old = crypto::validity_problem(chain, c.now.unix_time);
  out.decide("chain.validity", !old, old.value_or("all certificates are valid now"));
}

/// An INTEGER of DER that is no larger than a security version.
std::optional<unsigned> der_integer(const std::optional<Bytes>& der) {
  constexpr std::byte kTag{2};
  if (!der || der->size() < 3 || der->size() > 4 || (*der)[0] != kTag ||
      std::to_integer<std::size_t>((*der)[1]) != der->size() - 2)
    return std::nullopt;
  if (der->size() == 4 && (*der)[2] != std::byte{0}) return std::nullopt;
  return std::to_integer<unsigned>(der->back());
}

const std::string& amd() {
  static const std::string arc = "1.3.6.1.4.1.3704.1.";
  return arc;
}

/// Empty: the certificate is of the TCB that the report names. Source: "VCEK certificate and KDS
/// interface specification" (57230), 3.1; Turin's has an FMC (fmcSPL).
std::string tcb_problem(const wire::SnpReport& report, const crypto::Certificate& leaf) {
  const wire::SnpTcb tcb = report.tcb(report.reported_tcb);
  struct Level {
    const char* oid;
    std::uint8_t have;
    std::string_view name;
  };
  for (const Level& one :
       {Level{"3.1", tcb.boot_loader, "boot loader"}, Level{"3.2", tcb.tee, "TEE"},
        Level{"3.3", tcb.snp, "SNP"}, Level{"3.8", tcb.microcode, "microcode"},
        Level{"3.9", tcb.fmc, "FMC"}}) {
    if (one.name == "FMC" && !report.is_of_turin()) continue;
    const auto said = der_integer(crypto::extension_value(leaf, amd() + one.oid));
    if (!said) return fmt::format("the key's certificate names no version of {}", one.name);
    if (*said != one.have)
      return fmt::format("the key is of {} {}, and the report of {}", one.name, *said, one.have);
  }
  return {};
}

/// Empty: the certificate is of the kind of key that the report says, and of its chip. A VCEK's
/// has hwID, a VLEK's CSP_ID (57230, 3.1; go-sev-guest kds/kds.go, VcekCertificateExtensions()
/// and VlekCertificateExtensions()).
std::string chip_problem(const wire::SnpReport& report, const crypto::Certificate& leaf) {
  const auto chip = crypto::extension_value(leaf, amd() + "4");
  const auto provider = crypto::extension_value(leaf, amd() + "5");
  if (report.signing_key == wire::SnpReport::SigningKey::kVlek) {
    if (chip) return "the report is by a VLEK, and the certificate of one chip's key";
    if (!provider) return "the report is by a VLEK, and the certificate names no cloud provider";
    return {};
  }
  if (provider) return "the report is by a VCEK, and the certificate of a cloud provider's key";
  if (!chip) return "the key's certificate names no chip";
  const auto is_zero = [](std::byte one) { return one == std::byte{0}; };
  if (std::ranges::all_of(report.chip_id, is_zero)) return {};  // the host masks it
  // Turin's identifier has eight bytes, and zeros behind them in the report.
  if (chip->empty() || chip->size() > report.chip_id.size() ||
      !std::equal(chip->begin(), chip->end(), report.chip_id.begin()) ||
      !std::all_of(report.chip_id.begin() + static_cast<std::ptrdiff_t>(chip->size()),
                   report.chip_id.end(), is_zero))
    return "the key is of another chip than the report";
  return {};
}

std::string endorsement_problem(const wire::SnpReport& report, const crypto::Certificate& leaf) {
  std::string problem = tcb_problem(report, leaf);
  return problem.empty() ? chip_problem(report, leaf) : problem;
}

void judge_signature(const SnpCase& c, const crypto::Certificate& leaf, Clauses& out) {
  if (c.report.signing_key == wire::SnpReport::SigningKey::kNone)
    return out.refuse("report.signature", "the host masks the chip's key: nobody signed it");
  const ByteView bytes(c.statement.file);
  if (!wire::snp_signature_is_padded(bytes))
    return out.refuse("report.signature", "its numbers have more bytes than P-384's");
  const bool holds =
      leaf.public_key()
          .verify(crypto::SignatureAlgorithm::kEcdsaP384, crypto::HashAlgorithm::kSha384,
                  bytes.first(wire::SnpReport::kSigned), wire::snp_signature(bytes))
          .has_value();
  out.decide("report.signature", holds,
             holds ? "by the key of the certificate" : "it is not by the key of the certificate");
}

void judge_key(const SnpCase& c, Clauses& out) {
  const auto chain = ordered(c.policy.snp.certificates);
  if (!chain) {
    out.refuse("chain.form",
               "there is no certificate of the chip's key: give it with --certificates");
    return out.skip("report.signature", "nobody's key is known");
  }
  out.hold("chain.form", fmt::format("{} certificates", chain->certificates().size()));
  judge_certificates(c, *chain, out);
  const std::string problem = endorsement_problem(c.report, chain->leaf());
  out.decide("chain.tcb", problem.empty(),
             problem.empty() ? "the key is of this chip and TCB version" : problem);
  judge_signature(c, chain->leaf(), out);
}

void judge_freshness(const SnpCase& c, Clauses& out) {
  constexpr auto kId = "freshness.report-data";
  if (!c.policy.snp.report_data_required) return out.skip(kId, "the policy ignores it");
  if (!c.now.nonce) return out.refuse(kId, "no report data is known: give it with --nonce");
  const bool same = std::ranges::equal(*c.now.nonce, c.report.report_data);
  out.decide(
      kId, same,
      same ? "the report data is yours" : "the report data is " + to_hex(c.report.report_data));
}

void judge_flag(const char* id, bool is_set, bool is_allowed, std::string_view what, Clauses& out) {
  if (is_allowed) return out.skip(id, "the policy allows it");
  out.decide(id, !is_set,
             fmt::format("{} {}", what, is_set ? "is allowed to the host" : "is not allowed"));
}

void judge_tcb(const SnpCase& c, Clauses& out) {
  const wire::SnpTcb tcb = c.report.tcb(c.report.reported_tcb);
  const SnpPolicy& wanted = c.policy.snp;
  struct Level {
    const std::optional<std::uint64_t>& least;
    std::uint8_t have;
    std::string_view name;
  };
  bool asked = false;
  for (const Level& one : {Level{wanted.fmc, tcb.fmc, "FMC"},
                           Level{wanted.boot_loader, tcb.boot_loader, "boot loader"},
                           Level{wanted.tee, tcb.tee, "TEE"}, Level{wanted.snp, tcb.snp, "SNP"},
                           Level{wanted.microcode, tcb.microcode, "microcode"}}) {
    if (!one.least) continue;
    asked = true;
    if (one.have < *one.least)
      return out.refuse("report.tcb",
                        fmt::format("{} {} is below {}", one.name, one.have, *one.least));
  }
  if (!asked) return out.skip("report.tcb", "the policy wants no versions");
  out.hold("report.tcb", "all versions are as high as wanted");
}

void judge_guest(const SnpCase& c, Clauses& out) {
  const SnpPolicy& wanted = c.policy.snp;
  const std::uint64_t flags = c.report.policy;
  judge_flag("report.debug", (flags & wire::SnpReport::kPolicyDebug) != 0, wanted.allow_debug,
             "debugging", out);
  judge_flag("report.migration", (flags & wire::SnpReport::kPolicyMigration) != 0,
             wanted.allow_migration, "migration", out);
  out.decide("report.vmpl", c.report.vmpl <= wanted.most_vmpl,
             fmt::format("asked for at VMPL {}", c.report.vmpl));
  judge_tcb(c, out);
  out.one_of("report.measurement", "the launch measurement", wanted.measurements,
             c.report.measurement);
  out.one_of("report.host-data", "the host's data", wanted.host_data, c.report.host_data);
  out.one_of("report.chip", "the chip", wanted.chips, c.report.chip_id);
  if (wanted.least_guest_svn)
    out.decide("report.svn", c.report.guest_svn >= *wanted.least_guest_svn,
               fmt::format("the guest's SVN is {}", c.report.guest_svn));
}

}  // namespace

std::vector<Clause> judge(const SnpStatement& statement, const Policy& policy,
                          const Circumstances& now) {
  Clauses out;
  if (!statement.report) {
    out.refuse("report.form", statement.problem);
    return out.take();
  }
  out.hold("report.form", fmt::format("an SNP report of version {}", statement.report->version));
  const SnpCase c{statement, *statement.report, policy, now};
  judge_key(c, out);
  judge_freshness(c, out);
  judge_guest(c, out);
  return out.take();
}

}  // namespace teeio::evidence
