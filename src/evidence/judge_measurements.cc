// Measurements: form, signature, freshness, values.
#include <fmt/format.h>

#include <algorithm>

#include "base/hex.h"
#include "crypto/hash.h"
#include "evidence/clauses.h"
#include "evidence/measurement_values.h"
#include "spdm/suite.h"

namespace teeio::evidence {
namespace {

void judge_signature(const Case& c, Clauses& out) {
  const Statement& s = c.statement;
  if (!s.asked || !s.asked->sign || s.evidence.signature.empty())
    return out.refuse("measurements.signature", s.evidence.signature.empty()
                                                    ? "there is no signature"
                                                    : "no signature was asked for");
  if (!s.chain || !s.agreement)
    return out.refuse("measurements.signature", "there is no key or algorithm to verify it with");
  const auto hash = spdm::hash_of(s.agreement->base_hash);
  const auto algorithm = s.agreement->signature();
  if (!hash || !algorithm)
    return out.refuse("measurements.signature", "the algorithms agreed on are not known here");
  if (!crypto::available(crypto::key_type(*algorithm)))
    return out.refuse("measurements.signature", "this OpenSSL cannot verify such signatures");
  const auto verified = s.chain->chain.leaf().public_key().verify_spdm(
      {s.agreement->version, crypto::SigningPurpose::kResponderMeasurements, *algorithm, *hash},
      crypto::hash(*hash, s.evidence.transcript), s.evidence.signature);
  out.decide("measurements.signature", verified.has_value(),
             verified ? "by the leaf certificate's key over the transcript"
                      : std::string(verified.error().why));
}

void judge_freshness(const Case& c, Clauses& out) {
  const Statement& s = c.statement;
  if (!s.asked || !s.asked->sign)
    return out.refuse("freshness.nonce", "the transcript has no nonce");
  const Bytes signed_nonce(s.asked->nonce.begin(), s.asked->nonce.end());
  out.decide("freshness.header", s.asked->nonce == s.evidence.nonce,
             s.asked->nonce == s.evidence.nonce
                 ? "the nonce beside the transcript is the one in it"
                 : "the nonce beside the transcript is another one than the device signed");
  if (!c.now.nonce && !c.policy.nonce_required)
    return out.skip("freshness.nonce", "the policy ignores it: this may be old");
  if (!c.now.nonce)
    return out.refuse("freshness.nonce",
                      "nobody says which nonce was asked for (--nonce): this may be old");
  out.decide("freshness.nonce", *c.now.nonce == signed_nonce,
             *c.now.nonce == signed_nonce ? "the device signed the nonce that was asked for"
                                          : "the device signed " + to_hex(signed_nonce) +
                                                ", which is not what was asked for");
}

/// Blocks that were asked for one after the other may be of two firmwares: the device says so, and
/// signs it. Source: DSP0274 1.2, MEASUREMENTS, Param2.
void judge_change(const Case& c, Clauses& out) {
  constexpr std::uint8_t kChanged = 1;
  if (c.statement.answers < 2)
    return out.skip("measurements.change", "all blocks are of one answer");
  const std::uint8_t said = c.statement.content_changed;
  if (said == 0)
    return out.skip("measurements.change", "the device does not say whether its blocks changed");
  out.decide("measurements.change", said != kChanged,
             said != kChanged ? "no block changed while the device was asked"
                              : "the device says that blocks changed after it had told them");
}

/// Empty: it is as wanted.
std::string block_problem(const WantedBlock& wanted, const MeasurementBlock* have) {
  if (have == nullptr) return "there is no such block";
  if (wanted.type && *wanted.type != have->type)
    return fmt::format("it is of type {}", measurement_type_name(have->type));
  if (!wanted.values.empty() &&
      std::ranges::find(wanted.values, have->value) == wanted.values.end())
    return "it is " + to_hex(have->value);
  if (!wanted.least_svn) return {};
  const auto svn = secure_version(have->value);
  if (!svn || have->type != wire::SpdmMeasurementType::kSecureVersionNumber || !have->raw)
    return "it is no security version number";
  if (*svn < *wanted.least_svn)
    return fmt::format("its SVN {} is below {}", *svn, *wanted.least_svn);
  return {};
}

/// Where the requests cannot be read that fails by itself.
bool hides_blocks(const Statement& s) {
  return s.measurements_problem.empty() && !s.has_all_blocks;
}

void judge_blocks(const Case& c, Clauses& out) {
  const Statement& s = c.statement;
  for (const WantedBlock& wanted : c.policy.blocks) {
    const std::string problem = block_problem(wanted, s.block(wanted.index));
    out.decide(fmt::format("measurements.block.{}", wanted.index), problem.empty(),
               problem.empty() ? "as wanted" : problem);
  }
  if (c.policy.allow_other_blocks) return;
  for (const MeasurementBlock& have : s.blocks)
    if (std::ranges::find(c.policy.blocks, have.index, &WantedBlock::index) ==
        c.policy.blocks.end())
      return out.refuse("measurements.others",
                        fmt::format("block {} is not in the policy", have.index));
  if (hides_blocks(s))
    return out.refuse("measurements.others", "the device was not asked for all of its blocks");
  out.hold("measurements.others", "there are no other blocks");
}

/// A device of several parts may have several modes: none of them is debugged.
void judge_debugging(const Case& c, Clauses& out) {
  if (c.policy.allow_debug) return out.skip("measurements.debug", "the policy allows debugging");
  std::string said;
  for (const MeasurementBlock& block : c.statement.blocks) {
    if (block.type != wire::SpdmMeasurementType::kDeviceMode) continue;
    const auto mode = DeviceMode::decode(block.value);
    if (!mode || !block.raw)
      return out.refuse("measurements.debug", "the device mode cannot be read");
    said = measurement_text(block.type, block.value);
    if (mode->debugged()) return out.refuse("measurements.debug", std::move(said));
  }
  if (!said.empty()) return out.hold("measurements.debug", std::move(said));
  if (hides_blocks(c.statement))
    return out.refuse("measurements.debug", "the device was not asked in which mode it is");
  constexpr std::string_view kSilent = "the device does not say in which mode it is";
  if (c.policy.mode_required) return out.refuse("measurements.debug", std::string(kSilent));
  out.skip("measurements.debug", std::string(kSilent));
}

}  // namespace

void judge_measurements(const Case& c, Clauses& out) {
  const Statement& s = c.statement;
  out.decide("measurements.form", s.measurements_problem.empty(),
             s.measurements_problem.empty()
                 ? fmt::format("{} blocks in {} answer{}", s.blocks.size(), s.answers,
                               s.answers == 1 ? "" : "s")
                 : s.measurements_problem);
  judge_signature(c, out);
  judge_freshness(c, out);
  judge_change(c, out);
  judge_blocks(c, out);
  judge_debugging(c, out);
}

}  // namespace teeio::evidence
