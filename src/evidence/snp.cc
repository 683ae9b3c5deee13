#include "evidence/snp.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/hex.h"
#include "crypto/key_text.h"

namespace teeio::evidence {
namespace {

using Json = nlohmann::ordered_json;

Json of_tcb(const wire::SnpReport& report, std::uint64_t word) {
  const wire::SnpTcb tcb = report.tcb(word);
  return fmt::format("boot loader {}, TEE {}, SNP {}, microcode {}{}", tcb.boot_loader, tcb.tee,
                     tcb.snp, tcb.microcode, tcb.fmc != 0 ? fmt::format(", FMC {}", tcb.fmc) : "");
}

std::string_view key_word(wire::SnpReport::SigningKey key) {
  switch (key) {
    case wire::SnpReport::SigningKey::kVcek:
      return "VCEK";
    case wire::SnpReport::SigningKey::kVlek:
      return "VLEK";
    case wire::SnpReport::SigningKey::kNone:
      return "none";
  }
  return "unknown";
}

Json of_policy(std::uint64_t policy) {
  Json out = Json::array();
  if ((policy & wire::SnpReport::kPolicySmt) != 0) out.push_back("SMT");
  if ((policy & wire::SnpReport::kPolicyMigration) != 0) out.push_back("migration");
  if ((policy & wire::SnpReport::kPolicyDebug) != 0) out.push_back("debug");
  return out;
}

}  // namespace

SnpStatement SnpStatement::of(Bytes file) {
  SnpStatement s;
  s.file = std::move(file);
  auto report = wire::SnpReport::decode(s.file);
  if (report)
    s.report = *report;
  else
    s.problem = report.error().why;
  return s;
}

Json as_json(const SnpStatement& s) {
  Json out{{"kind", "SNP attestation report"}, {"bytes", s.file.size()}};
  if (!s.report) {
    out["problem"] = s.problem;
    return out;
  }
  const wire::SnpReport& r = *s.report;
  out["version"] = r.version;
  out["guest_svn"] = r.guest_svn;
  out["policy"] = fmt::format("{:#x}", r.policy);
  out["allows"] = of_policy(r.policy);
  out["vmpl"] = r.vmpl;
  out["report_data"] = to_hex(r.report_data);
  out["measurement"] = to_hex(r.measurement);
  out["host_data"] = to_hex(r.host_data);
  out["report_id"] = to_hex(r.report_id);
  out["chip"] = to_hex(r.chip_id);
  out["current_tcb"] = of_tcb(r, r.current_tcb);
  out["reported_tcb"] = of_tcb(r, r.reported_tcb);
  out["committed_tcb"] = of_tcb(r, r.committed_tcb);
  out["launch_tcb"] = of_tcb(r, r.launch_tcb);
  out["abi"] = fmt::format("{}.{}", r.abi_version >> 8U, r.abi_version & 0xffU);
  out["key"] = key_word(r.signing_key);
  out["chip_key_masked"] = r.mask_chip_key;
  return out;
}

std::vector<Part> extract(const SnpStatement& s) {
  if (!s.report) return {};
  const ByteView report(s.file);
  const ByteView over = report.first(wire::SnpReport::kSigned);
  return {{"signed.bin", Bytes(over.begin(), over.end())},
          {"signature.bin", crypto::openssl_signature(crypto::SignatureAlgorithm::kEcdsaP384,
                                                      wire::snp_signature(report))}};
}

}  // namespace teeio::evidence
