// SNP reports of the corpus.
#include <fmt/format.h>

#include "base/hex.h"
#include "crypto/issue.h"
#include "evidence/corpus_device.h"
#include "evidence/corpus_guests.h"
#include "wire/snp_report.h"

namespace teeio::evidence {
namespace {

constexpr wire::SnpTcb kTcb{.boot_loader = 4, .tee = 0, .snp = 22, .microcode = 213};

std::uint64_t word_of(const wire::SnpTcb& tcb) {
  return std::uint64_t{tcb.boot_loader} | std::uint64_t{tcb.tee} << 8U |
         std::uint64_t{tcb.snp} << 48U | std::uint64_t{tcb.microcode} << 56U;
}

Bytes der_integer(std::uint8_t value) {
  Writer out;
  out.le(std::uint8_t{2});
  if (value < 0x80) return out.le(std::uint8_t{1}).le(value).take();
  return out.le(std::uint8_t{2}).le(std::uint8_t{0}).le(value).take();
}

std::array<std::byte, 64> chip_of(unsigned octet) {
  std::array<std::byte, 64> chip{};
  chip.fill(static_cast<std::byte>(octet));
  return chip;
}

/// A VCEK's extensions (57230, 3.1), as far as a verifier looks at them.
crypto::LeafExtras vcek(const wire::SnpTcb& tcb, unsigned chip) {
  const std::string amd = "1.3.6.1.4.1.3704.1.";
  const auto id = chip_of(chip);
  crypto::LeafExtras extras;
  extras.extensions = {{amd + "3.1", der_integer(tcb.boot_loader)},
                       {amd + "3.2", der_integer(tcb.tee)},
                       {amd + "3.3", der_integer(tcb.snp)},
                       {amd + "3.8", der_integer(tcb.microcode)},
                       {amd + "4", Bytes(id.begin(), id.end())}};
  return extras;
}
crypto::PkiSpec spec() { return {.name = "corpus VCEK"}; }

wire::SnpReport genuine() {
  wire::SnpReport report{.policy = 0x3'0000, .vmpl = 0};
  report.report_data.fill(std::byte{0xa5});
  report.measurement.fill(std::byte{0xd1});
  report.host_data.fill(std::byte{0x4d});
  report.report_id.fill(std::byte{0x1d});
  report.current_tcb = report.reported_tcb = word_of(kTcb);
  report.committed_tcb = report.launch_tcb = word_of(kTcb);
  report.chip_id = chip_of(0xc1);
  return report;
}

Bytes signed_by(const crypto::PrivateKey& key, const wire::SnpReport& report) {
  Bytes bytes = report.encode();
  const Bytes signature =
      must(key.sign(crypto::SignatureAlgorithm::kEcdsaP384, crypto::HashAlgorithm::kSha384, bytes));
  const Bytes field = wire::snp_signature_field(signature);
  bytes.insert(bytes.end(), field.begin(), field.end());
  return bytes;
}

void add_files(const crypto::Pki& amd, const crypto::Identity& sibling,
               std::vector<CorpusFile>& files) {
  const auto certificates = amd.device.chain.certificates();
  files.push_back({"ark.pem", bytes_of_text(certificates[0].pem())});
  // AMD gives ASK and VCEK apart; whoever puts them together does it in any order.
  files.push_back({"vcek.pem", bytes_of_text(certificates[2].pem() + certificates[1].pem())});
  files.push_back(
      {"vcek-other.pem", bytes_of_text(certificates[1].pem() + sibling.chain.leaf().pem())});
  const wire::SnpReport report = genuine();
  const std::string body = fmt::format(
      "measurement = [\"{}\"]\nhost_data = [\"{}\"]\nchip = [\"{}\"]\n\n"
      "[snp.least_tcb]\nboot_loader = 4\nsnp = 22\nmicrocode = 213\n",
      to_hex(report.measurement), to_hex(report.host_data), to_hex(report.chip_id));
  const std::string head = "[chain]\nroots = [\"ark.pem\"]\n\n[snp]\ncertificates = [\"{}\"]\n";
  files.push_back({"snp.toml", bytes_of_text("# One guest on one chip.\n" +
                                             fmt::format(fmt::runtime(head), "vcek.pem") + body)});
  files.push_back(
      {"snp-other.toml", bytes_of_text("# The same, with the certificate of another chip.\n" +
                                       fmt::format(fmt::runtime(head), "vcek-other.pem") + body)});
}

}  // namespace

std::vector<GuestExample> snp_examples(std::vector<CorpusFile>& files) {
  const crypto::Pki amd = must(crypto::make_pki(spec(), vcek(kTcb, 0xc1)));
  const crypto::Identity sibling = must(crypto::make_sibling(amd, spec(), vcek(kTcb, 0xc2)));
  add_files(amd, sibling, files);
  std::vector<GuestExample> out;
  const auto add = [&](std::string name, Bytes file, std::vector<std::string> clauses,
                       std::string what, std::string policy = "snp.toml") {
    out.push_back({"snp-" + std::move(name), std::move(policy), std::move(file), std::move(clauses),
                   std::move(what)});
  };
  const auto report_is = [&](auto change) {
    wire::SnpReport report = genuine();
    change(report);
    return signed_by(amd.device.key, report);
  };
  const Bytes good = signed_by(amd.device.key, genuine());
  add("good", good, {}, "an SNP guest's report: the right chip, launch and report data");
  add("stale", report_is([](auto& report) { report.report_data.fill(std::byte{0x11}); }),
      {"freshness.report-data"}, "an SNP report with earlier report data");
  Bytes altered = good;
  altered.at(0x90) ^= std::byte{1};
  add("altered", altered, {"report.signature", "report.measurement"},
      "a bit of the launch measurement is another than was signed");
  add("other-key", signed_by(sibling.key, genuine()), {"report.signature"},
      "signed by the key of another chip");
  add("other-chip", signed_by(sibling.key, genuine()), {"chain.tcb"},
      "likewise, with that chip's certificate", "snp-other.toml");
  add("old-tcb", report_is([](auto& report) {
        wire::SnpTcb old = kTcb;
        --old.snp;
        report.reported_tcb = word_of(old);
      }),
      {"chain.tcb", "report.tcb"}, "a report of an older TCB than its key's");
  add("debug", report_is([](auto& report) { report.policy |= wire::SnpReport::kPolicyDebug; }),
      {"report.debug"}, "the host may debug the guest");
  add("migrates",
      report_is([](auto& report) { report.policy |= wire::SnpReport::kPolicyMigration; }),
      {"report.migration"}, "a migration agent may move the guest");
  add("vmpl", report_is([](auto& report) { report.vmpl = 2; }), {"report.vmpl"},
      "asked for at a level below the guest's most privileged");
  add("other-launch", report_is([](auto& report) { report.measurement.fill(std::byte{0xd2}); }),
      {"report.measurement"}, "another guest was launched");
  add("other-host-data", report_is([](auto& report) { report.host_data.fill(std::byte{1}); }),
      {"report.host-data"}, "launched with other data of the host");
  wire::SnpReport masked = genuine();
  masked.signing_key = wire::SnpReport::SigningKey::kNone;
  masked.mask_chip_key = true;
  Bytes unsigned_one = masked.encode();
  unsigned_one.resize(wire::SnpReport::kSize);
  add("masked", unsigned_one, {"report.signature"}, "the host masks the chip's key");
  return out;
}

}  // namespace teeio::evidence
