#pragma once

#include <nlohmann/json_fwd.hpp>

#include "evidence/extract.h"
#include "evidence/judge.h"
#include "wire/snp_report.h"

// An SNP guest's own evidence: the attestation report, under the chip's key.
namespace teeio::evidence {

struct SnpStatement {
  Bytes file;
  std::string problem;  ///< why there is no report
  std::optional<wire::SnpReport> report;

  /// Total.
  static SnpStatement of(Bytes file);
};

/// Form, the key's certificates, signature, freshness, what runs. `roots` and whether validity is
/// judged are [chain]'s. Total.
[[nodiscard]] std::vector<Clause> judge(const SnpStatement& statement, const Policy& policy,
                                        const Circumstances& now);
[[nodiscard]] nlohmann::ordered_json as_json(const SnpStatement& statement);
/// signed.bin and signature.bin (DER).
[[nodiscard]] std::vector<Part> extract(const SnpStatement& statement);

}  // namespace teeio::evidence
