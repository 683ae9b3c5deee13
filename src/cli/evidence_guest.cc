#include "cli/evidence_guest.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/options.h"
#include "cli/print.h"
#include "crypto/key_text.h"
#include "evidence/cca.h"
#include "evidence/show.h"
#include "evidence/snp.h"
#include "firmware/rmm/attestation.h"

namespace teeio::cli {
namespace {

constexpr int kNothingToJudge = 2;  // as for a device's evidence that cannot be read

template <class Statement>
int show(const Statement& statement, const GuestEvidence& given) {
  if (!given.extract.empty())
    if (const auto done = write_parts(evidence::extract(statement), given.extract, given.kept);
        !done) {
      complain("teeio evidence show: {}\n", done.error());
      return kUsageError;
    }
  const auto document = evidence::as_json(statement);
  print("{}", given.json ? document.dump(2) + "\n" : evidence::as_text(document));
  return statement.problem.empty() ? 0 : kNothingToJudge;
}

int print_verdict(const std::vector<evidence::Clause>& clauses, bool json) {
  constexpr auto kGuest = evidence::Subject::kGuest;
  print("{}", json ? evidence::as_json(clauses, kGuest).dump(2) + "\n"
                   : evidence::as_text(clauses, kGuest));
  return evidence::trusted(clauses) ? 0 : 1;
}

}  // namespace

bool is_guest_evidence(ByteView file) {
  return wire::CcaToken::is_one(file) || wire::SnpReport::is_one(file);
}

bool has_certificates(ByteView file) { return wire::SnpReport::is_one(file); }

std::string why_no_guest_evidence(ByteView file) {
  const ByteView first = file.first(std::min(file.size(), wire::SnpReport::kSize));
  Bytes as_long_as_one(first.begin(), first.end());
  as_long_as_one.resize(wire::SnpReport::kSize);
  if (file.size() == wire::SnpReport::kSize || !wire::SnpReport::is_one(as_long_as_one)) return {};
  return fmt::format("an SNP attestation report of {} bytes, and one has {}", file.size(),
                     wire::SnpReport::kSize);
}

std::size_t guest_nonce_size() { return wire::kCcaChallengeSize; }

int show_guest_evidence(const GuestEvidence& given) {
  if (wire::SnpReport::is_one(given.file))
    return show(evidence::SnpStatement::of(given.file), given);
  return show(evidence::CcaStatement::of(given.file), given);
}

int verify_guest_evidence(GuestEvidence given, const PolicyFiles& files,
                          const evidence::Policy& policy, evidence::Circumstances now) {
  const auto not_for = [&](const char* option, const char* kind) {
    return wrong_use("evidence verify", std::string(option) + " is not for " + kind);
  };
  if (wire::SnpReport::is_one(given.file)) {
    if (!files.platform_keys.empty()) return not_for("--platform-key", "an SNP report");
    return print_verdict(
        evidence::judge(evidence::SnpStatement::of(std::move(given.file)), policy, now),
        given.json);
  }
  if (!files.roots.empty()) return not_for("--root", "a CCA token");
  if (!files.certificates.empty()) return not_for("--certificates", "a CCA token");
  now.model_keys.push_back(rmm::Attestation().platform_key());
  return print_verdict(
      evidence::judge(evidence::CcaStatement::of(std::move(given.file)), policy.cca, now),
      given.json);
}

int print_cca_key() {
  print("{}", crypto::public_key_pem(rmm::Attestation().platform_key()));
  return 0;
}

}  // namespace teeio::cli
