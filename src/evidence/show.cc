#include "evidence/show.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "base/hex.h"
#include "evidence/measurement_values.h"
#include "evidence/safe_text.h"
#include "wire/spdm_algorithms.h"

namespace teeio::evidence {
namespace {

using Json = nlohmann::ordered_json;

std::string version_text(std::uint8_t version) {
  return fmt::format("{}.{}", version >> 4U, version & 0xfU);
}
std::string or_unknown(std::string_view name) {
  return name.empty() ? "unknown" : std::string(name);
}

Json oid(const std::string& dotted) {
  const auto name = crypto::attestation_oid_name(dotted);
  return name.empty() ? dotted : fmt::format("{} ({})", name, dotted);
}

Json of_tcb(const crypto::DiceTcbInfo& info) {
  Json out;
  if (info.vendor) out["vendor"] = safe(*info.vendor);
  if (info.model) out["model"] = safe(*info.model);
  if (info.version) out["version"] = safe(*info.version);
  if (info.svn) out["svn"] = *info.svn;
  if (info.layer) out["layer"] = *info.layer;
  if (info.index) out["index"] = *info.index;
  for (const crypto::DiceFwid& fwid : info.fwids)
    out["fwids"].push_back(
        Json{{"algorithm", oid(fwid.algorithm)}, {"digest", to_hex(fwid.digest)}});
  if (info.flags) {
    Json names = Json::array();
    for (unsigned bit = 0; bit < 32; ++bit)
      if ((*info.flags >> bit & 1U) != 0) {
        const auto name = crypto::dice_flag_name(bit);
        names.push_back(name.empty() ? fmt::format("bit {}", bit) : std::string(name));
      }
    out["flags"] = names;
  }
  if (!info.vendor_info.empty()) out["vendor_info"] = to_hex(info.vendor_info);
  if (!info.type.empty()) out["type"] = to_hex(info.type);
  return out;
}

Json of_dice(const crypto::DiceClaims& dice) {
  Json out;
  if (!dice.ueid.empty()) out["ueid"] = to_hex(dice.ueid);
  for (const std::string& purpose : dice.purposes) out["purposes"].push_back(oid(purpose));
  for (const crypto::DiceTcbInfo& info : dice.tcb) out["tcb"].push_back(of_tcb(info));
  if (!dice.problem.empty()) out["problem"] = dice.problem;
  return out;
}

Json of_certificate(const CertificateView& view, const crypto::Certificate& certificate) {
  Json out{{"subject", safe(view.facts.subject)},
           {"issuer", safe(view.facts.issuer)},
           {"serial", view.facts.serial},
           {"not_before", view.facts.not_before},
           {"not_after", view.facts.not_after},
           {"key", crypto::key_type_name(certificate.public_key().type())},
           {"key_sha256", to_hex(view.key_digest)}};
  if (!view.facts.device_info.empty()) out["device"] = safe(view.facts.device_info);
  if (certificate.is_hardware_identity()) out["hardware_identity"] = true;
  if (certificate.is_mutable()) out["mutable"] = true;
  for (const std::string& id : view.facts.critical_unknown) out["critical"].push_back(oid(id));
  if (!view.dice.empty() || !view.dice.problem.empty()) out["dice"] = of_dice(view.dice);
  return out;
}

Json of_chain(const Statement& s) {
  if (!s.chain) return Json{{"problem", s.chain_problem}};
  Json out{{"bytes", s.evidence.chain.size()}, {"root_hash", to_hex(s.chain->root_hash)}};
  for (std::size_t i = 0; i < s.certificates.size(); ++i)
    out["certificates"].push_back(
        of_certificate(s.certificates[i], s.chain->chain.certificates()[i]));
  return out;
}

Json of_agreement(const Statement& s) {
  if (!s.agreement) return Json{{"problem", s.agreement_problem}};
  const Agreement& a = *s.agreement;
  Json versions = Json::array();
  for (const std::uint8_t one : a.versions) versions.push_back(version_text(one));
  return Json{
      {"version", version_text(a.version)},
      {"device_speaks", versions},
      {"hash", or_unknown(wire::spdm_hash_name(a.base_hash))},
      {"signature", or_unknown(wire::spdm_asym_name(a.base_asym))},
      {"measurement_hash", a.measurement_hash == 1
                               ? std::string("raw bit streams only")
                               : or_unknown(wire::spdm_hash_name(a.measurement_hash >> 1U))},
      {"requester_flags", fmt::format("{:#x}", a.requester_flags)},
      {"device_flags", fmt::format("{:#x}", a.device_flags)},
      {"signed", a.is_signed}};
}

Json of_block(const MeasurementBlock& block) {
  Json out{{"index", block.index},
           {"type", or_unknown(measurement_type_name(block.type))},
           {"raw", block.raw},
           {"value", to_hex(block.value)}};
  const std::string text = block.raw ? measurement_text(block.type, block.value) : std::string();
  if (!text.empty()) out["means"] = text;
  return out;
}

Json of_measurements(const Statement& s) {
  Json out;
  if (!s.measurements_problem.empty()) out["problem"] = s.measurements_problem;
  if (s.asked) {
    out["signature_asked_for"] = s.asked->sign;
    if (s.asked->sign) out["slot"] = s.asked->slot;
    if (s.asked->sign) out["nonce"] = to_hex(s.asked->nonce);
  }
  for (const MeasurementBlock& block : s.blocks) out["blocks"].push_back(of_block(block));
  return out;
}

Json of_report(const Statement& s) {
  if (!s.report) return Json{{"problem", s.report_problem}};
  const wire::TdispReport& report = *s.report;
  Json info = Json::array();
  constexpr std::array<std::string_view, 5> kInfo = {"no update after lock", "DMA without PASID",
                                                     "DMA with PASID", "ATS", "PRS"};
  for (std::size_t bit = 0; bit < kInfo.size(); ++bit)
    if ((report.interface_info >> bit & 1U) != 0) info.push_back(kInfo.at(bit));
  Json out{{"interface", info},
           {"msix_message_control", report.msix_message_control},
           {"lnr_control", report.lnr_control},
           {"tph_control", report.tph_control}};
  for (const wire::TdispMmioRange& range : report.ranges)
    out["ranges"].push_back(
        Json{{"id", range.range_id},
             {"address", fmt::format("{:#x}", range.address())},
             {"pages", range.pages},
             {"msix_table", (range.attributes & wire::kMmioMsixTable) != 0},
             {"msix_pba", (range.attributes & wire::kMmioMsixPba) != 0},
             {"non_tee_memory", (range.attributes & wire::kMmioNonTeeMemory) != 0}});
  if (!report.device_info.empty()) out["device_info"] = to_hex(report.device_info);
  return out;
}

std::string scalar(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

bool is_plain_list(const Json& value) {
  return value.is_array() &&
         std::ranges::none_of(value, [](const Json& one) { return one.is_structured(); });
}

void print(const Json& object, unsigned depth, std::string& out) {
  const std::string indent(std::size_t{2} * depth, ' ');
  for (const auto& [key, value] : object.items()) {
    if (!value.is_structured()) {
      out += fmt::format("{}{}: {}\n", indent, key, scalar(value));
    } else if (is_plain_list(value)) {
      std::vector<std::string> words;
      for (const Json& one : value) words.push_back(scalar(one));
      out += fmt::format("{}{}: {}\n", indent, key,
                         words.empty() ? "none" : fmt::format("{}", fmt::join(words, ", ")));
    } else if (value.is_object()) {
      out += fmt::format("{}{}:\n", indent, key);
      print(value, depth + 1, out);
    } else {
      std::size_t number = 0;
      for (const Json& one : value) {
        out += fmt::format("{}{} {}:\n", indent, key, ++number);
        print(one, depth + 1, out);
      }
    }
  }
}

std::string_view word(Verdict verdict) {
  switch (verdict) {
    case Verdict::kHolds:
      return "holds";
    case Verdict::kFails:
      return "fails";
    case Verdict::kSkipped:
      return "skipped";
  }
  return {};
}

}  // namespace

Json as_json(const Statement& s) {
  Json out{{"bytes", s.bundle.object.size()},
           {"sha384", to_hex(crypto::hash(crypto::HashAlgorithm::kSha384, s.bundle.object))},
           {"nonce", to_hex(s.evidence.nonce)},
           {"chain", of_chain(s)},
           {"spdm", of_agreement(s)},
           {"measurements", of_measurements(s)},
           {"signature", to_hex(s.evidence.signature)}};
  if (!s.bundle.report.empty()) out["report"] = of_report(s);
  if (!s.bundle.report.empty())
    out["report_sha384"] = to_hex(crypto::hash(crypto::HashAlgorithm::kSha384, s.bundle.report));
  if (!s.bundle.evidence_digest.empty())
    out["firmware_says_evidence"] = to_hex(s.bundle.evidence_digest);
  if (!s.bundle.report_digest.empty()) out["firmware_says_report"] = to_hex(s.bundle.report_digest);
  return out;
}

Json as_json(std::span<const Clause> clauses, Subject subject) {
  Json list = Json::array();
  for (const Clause& one : clauses)
    list.push_back(Json{{"id", one.id}, {"verdict", word(one.verdict)}, {"why", safe(one.why)}});
  Json out{{"verdict", trusted(clauses) ? "trusted" : "refused"}};
  if (subject == Subject::kDevice) out["bound"] = is_bound(clauses);
  out["clauses"] = list;
  return out;
}

std::string as_text(const Json& document) {
  std::string out;
  print(document, 0, out);
  return out;
}

std::string as_text(std::span<const Clause> clauses, Subject subject) {
  std::string out;
  std::vector<std::string_view> failed;
  for (const Clause& one : clauses) {
    if (one.verdict == Verdict::kFails) failed.push_back(one.id);
    const std::string_view mark = one.verdict == Verdict::kHolds   ? "ok"
                                  : one.verdict == Verdict::kFails ? "FAIL"
                                                                   : "--";
    out += fmt::format("{:<4}  {:<24} {}\n", mark, one.id, safe(one.why));
  }
  if (failed.empty() && (subject == Subject::kGuest || is_bound(clauses))) return out + "trusted\n";
  if (failed.empty())
    return out +
           "trusted, but bound to no device: see binding.evidence, and [binding] in policies\n";
  return out + fmt::format("refused: {}\n", fmt::join(failed, ", "));
}

}  // namespace teeio::evidence
