#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "crypto/keys.h"
#include "evidence/policy.h"
#include "evidence/statement.h"

namespace teeio::evidence {

enum class Verdict : std::uint8_t {
  kHolds,
  kFails,
  kSkipped,  ///< nobody asked for it, or what it needs has failed already
};

/// One thing that a relying party must check.
struct Clause {
  std::string id;  ///< "chain.signatures"; of a block "measurements.block.2"
  Verdict verdict = Verdict::kSkipped;
  std::string why;  ///< what was found
};

/// What the relying party knows beyond its policy.
struct Circumstances {
  std::int64_t unix_time = 0;            ///< when validity is judged
  std::optional<Bytes> nonce;            ///< that the device was to sign
  std::optional<Bytes> evidence_digest;  ///< SHA-384, from the guest's firmware
  std::optional<Bytes> report_digest;    ///< likewise
  /// Keys that everybody has: of platforms that prove nothing.
  std::vector<crypto::PublicKey> model_keys;
};

/// The verdicts in the order in which one should look: form, certificates, agreement,
/// measurements, freshness, interface report, binding. Total.
[[nodiscard]] std::vector<Clause> judge(const Statement& statement, const Policy& policy,
                                        const Circumstances& now);
/// Firmware vouched for the evidence, so it is of this device and of no other good one.
[[nodiscard]] bool is_bound(std::span<const Clause> clauses);
/// No clause fails.
[[nodiscard]] bool trusted(std::span<const Clause> clauses);

}  // namespace teeio::evidence
