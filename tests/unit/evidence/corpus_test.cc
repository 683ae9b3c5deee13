#include "evidence/corpus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/hex.h"
#include "evidence/cca.h"
#include "evidence/judge.h"
#include "evidence/measurement_values.h"
#include "evidence/show.h"
#include "evidence/snp.h"

namespace teeio::evidence {
namespace {

constexpr std::int64_t kWhen = 1'795'910'400;  // 2026-11-29T00:00:00Z

const std::map<std::string, Bytes>& files() {
  static const auto made = [] {
    std::map<std::string, Bytes> by_name;
    for (CorpusFile& file : make_corpus()) by_name[file.name] = std::move(file.bytes);
    return by_name;
  }();
  return made;
}
std::string text(const std::string& name) {
  const Bytes& bytes = files().at(name);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

struct Row {
  std::string file, policy, options, verdict, clauses, what;
};
std::vector<Row> rows() {
  std::vector<Row> out;
  std::istringstream table(text("expected.tsv"));
  for (std::string line; std::getline(table, line);) {
    if (line.starts_with('#')) continue;
    std::istringstream fields(line);
    Row row;
    for (std::string* field :
         {&row.file, &row.policy, &row.options, &row.verdict, &row.clauses, &row.what})
      std::getline(fields, *field, '\t');
    out.push_back(row);
  }
  return out;
}

Policy policy(const std::string& name) {
  auto parsed = Policy::parse(text(name), name);
  EXPECT_TRUE(parsed.has_value()) << (parsed ? "" : parsed.error());
  if (!parsed) return {};
  for (const std::string& root : parsed->root_files)
    parsed->roots.push_back(*crypto::Certificate::from_pem(text(root)));
  for (const std::string& key : parsed->cca.key_files)
    parsed->cca.platform_keys.push_back(*crypto::PublicKey::from_pem(text(key)));
  for (const std::string& file : parsed->snp.certificate_files) {
    const auto chain = *crypto::CertificateChain::from_pem(text(file));
    for (const auto& one : chain.certificates()) parsed->snp.certificates.push_back(one);
  }
  return *std::move(parsed);
}

Circumstances circumstances(const Row& row) {
  Circumstances now;
  now.unix_time = kWhen;
  const auto at = row.options.find("--nonce ");
  now.nonce = from_hex(row.options.substr(at + 8));
  return now;
}

/// Of a file whose bytes may have been changed; `like` has its policy.
std::vector<Clause> verdict_on_guest(const Row& like, Bytes bytes) {
  if (like.file.starts_with("snp-"))
    return judge(SnpStatement::of(std::move(bytes)), policy(like.policy), circumstances(like));
  return judge(CcaStatement::of(std::move(bytes)), policy(like.policy).cca, circumstances(like));
}
bool is_of_guest(const Row& row) {
  return row.file.starts_with("cca-") || row.file.starts_with("snp-");
}

std::vector<Clause> verdict_on(const Row& row) {
  if (is_of_guest(row)) return verdict_on_guest(row, files().at(row.file));
  auto bundle = Bundle::decode(files().at(row.file));
  EXPECT_TRUE(bundle.has_value()) << row.file << ": " << (bundle ? "" : bundle.error().why);
  return judge(Statement::of(*std::move(bundle)), policy(row.policy), circumstances(row));
}

std::string failed(const std::vector<Clause>& clauses) {
  std::string out;
  for (const Clause& one : clauses)
    if (one.verdict == Verdict::kFails) out += (out.empty() ? "" : ",") + one.id;
  return out.empty() ? "-" : out;
}

// Precisely the clauses of the table fail, and no others.
TEST(Corpus, EachExampleGetsItsVerdict) {
  ASSERT_GE(rows().size(), 30U);
  for (const Row& row : rows()) {
    if (row.verdict == "no-evidence") {
      EXPECT_FALSE(Bundle::decode(files().at(row.file)).has_value()) << row.file;
      continue;
    }
    const auto clauses = verdict_on(row);
    EXPECT_EQ(failed(clauses), row.clauses) << row.file << " (" << row.what << ")\n"
                                            << as_text(clauses);
    EXPECT_EQ(trusted(clauses), row.verdict == "trusted") << row.file;
  }
}

TEST(Corpus, ComesBackByteForByte) {
  const auto again = make_corpus();
  EXPECT_EQ(again.size(), files().size());
  for (const CorpusFile& file : again) EXPECT_EQ(file.bytes, files().at(file.name)) << file.name;
}

Row row_of(std::string_view file) {
  const std::vector<Row> all = rows();
  return *std::ranges::find(all, file, &Row::file);
}

Statement statement_of(const Row& row) {
  return Statement::of(*Bundle::decode(files().at(row.file)));
}

// No policy is needed to see that a file speaks against itself.
TEST(Judge, RefusesWhatFirmwareVouchedForOtherBytesOf) {
  const Row row = row_of("relayed.evidence");
  Policy roots_only;
  roots_only.roots = policy(row.policy).roots;
  const auto clauses = judge(statement_of(row), roots_only, circumstances(row));
  EXPECT_EQ(failed(clauses), "binding.evidence") << as_text(clauses);
}

TEST(Judge, SaysWhenNothingBindsTheEvidenceToADevice) {
  const Row row = row_of("good.evidence");
  Policy roots_only;
  roots_only.roots = policy(row.policy).roots;
  const auto clauses = judge(statement_of(row), roots_only, circumstances(row));
  EXPECT_TRUE(trusted(clauses)) << as_text(clauses);
  EXPECT_FALSE(is_bound(clauses));
  EXPECT_THAT(as_text(clauses), testing::HasSubstr("\ntrusted, but bound to no device"));
  EXPECT_TRUE(is_bound(verdict_on(row)));
}

TEST(Judge, ADeviceThatIsSilentAboutItsModeIsRefusedWhereThePolicyAsks) {
  const Row row = row_of("good.evidence");
  Statement silent = statement_of(row);
  std::erase_if(silent.blocks, [](const MeasurementBlock& block) {
    return block.type == wire::SpdmMeasurementType::kDeviceMode;
  });
  Policy asks = policy(row.policy);
  asks.mode_required = true;
  asks.blocks.clear();
  EXPECT_EQ(failed(judge(silent, asks, circumstances(row))), "measurements.debug");
  asks.mode_required = false;
  EXPECT_EQ(failed(judge(silent, asks, circumstances(row))), "-");
}

// The report is beside what the device signed: whoever brings the file can leave it out.
TEST(Judge, AReportOfWhichSomethingIsWantedMustBeThere) {
  const Row row = row_of("no-report.evidence");
  Policy lax;
  lax.roots = policy(row.policy).roots;
  const auto now = circumstances(row);
  EXPECT_EQ(failed(judge(statement_of(row), lax, now)), "-");
  Policy ranges = lax;
  ranges.ranges.push_back({.id = 0, .pages = 16});
  EXPECT_EQ(failed(judge(statement_of(row), ranges, now)), "report.form");
  Policy update = lax;
  update.no_update_after_lock = true;
  EXPECT_EQ(failed(judge(statement_of(row), update, now)), "report.form");
  auto vouched = now;
  vouched.report_digest = Bytes(48);
  EXPECT_EQ(failed(judge(statement_of(row), lax, vouched)), "binding.report");
}

// --vca beside a transcript that has its own agreement: the same bytes, or no verdict for it.
TEST(Judge, AnAgreementGivenBesideASignedOneMustBeTheSame) {
  const Row row = row_of("good.evidence");
  const auto judged = [&](Bytes vca) {
    Bundle bundle = statement_of(row).bundle;
    bundle.vca = std::move(vca);
    return failed(judge(Statement::of(std::move(bundle)), policy(row.policy), circumstances(row)));
  };
  EXPECT_EQ(judged({}), "-");
  EXPECT_THAT(judged(Bytes(16)), testing::HasSubstr("spdm.form"));
  EXPECT_THAT(judged(statement_of(row_of("good-1.1.evidence")).bundle.vca),
              testing::HasSubstr("spdm.form"));
}

// From SPDM 1.2 on the agreement is signed, also where the policy takes 1.1.
TEST(Judge, AnAgreementThatNobodySignedIsRefusedFrom12On) {
  const Row row = row_of("good-1.1.evidence");
  Statement unsigned_one = statement_of(row);
  Policy takes = policy(row.policy);
  takes.allow_downgrade = true;
  takes.versions = {0x11, 0x12};
  EXPECT_EQ(failed(judge(unsigned_one, takes, circumstances(row))), "-");
  unsigned_one.agreement->version = 0x12;
  EXPECT_THAT(failed(judge(unsigned_one, takes, circumstances(row))),
              testing::HasSubstr("spdm.signed"));
}

// A clause that nothing can break proves nothing.
TEST(Corpus, BreaksEachKindOfClause) {
  std::string all;
  for (const Row& row : rows()) all += row.clauses + ",";
  for (const char* const id : {"chain.form",
                               "chain.signatures",
                               "chain.usage",
                               "chain.validity",
                               "identity.key",
                               "identity.device",
                               "identity.ueid",
                               "chain.dice",
                               "spdm.version",
                               "spdm.downgrade",
                               "spdm.hash",
                               "spdm.signed",
                               "measurements.form",
                               "measurements.signature",
                               "freshness.header",
                               "freshness.nonce",
                               "measurements.block.2",
                               "measurements.others",
                               "measurements.change",
                               "measurements.debug",
                               "report.form",
                               "report.memory",
                               "binding.evidence",
                               "binding.report",
                               "token.form",
                               "platform.form",
                               "platform.signature",
                               "platform.lifecycle",
                               "platform.component.RMM",
                               "platform.others",
                               "realm.form",
                               "realm.signature",
                               "realm.binding",
                               "realm.initial",
                               "realm.extensible.0",
                               "realm.personalization",
                               "realm.mec",
                               "freshness.challenge",
                               "report.signature",
                               "report.debug",
                               "report.migration",
                               "report.vmpl",
                               "report.tcb",
                               "report.measurement",
                               "report.host-data",
                               "chain.tcb",
                               "freshness.report-data"})
    EXPECT_NE(all.find(std::string(id) + ","), std::string::npos) << id;
}

// Every bit of the good evidence counts: what is not signed is at least vouched for.
TEST(Corpus, NoBitOfGoodEvidenceCanBeTurnedUnseen) {
  const Bytes& good = files().at("good.evidence");
  const Policy wanted = policy("policy.toml");
  const Row row = rows().front();
  for (std::size_t i = 0; i < good.size(); i += 7) {
    Bytes bent = good;
    bent[i] ^= std::byte{0x10};
    auto bundle = Bundle::decode(bent);
    if (!bundle) continue;
    EXPECT_FALSE(trusted(judge(Statement::of(*std::move(bundle)), wanted, circumstances(row))))
        << i;
  }
}

TEST(Corpus, NoBitOfAGuestsEvidenceCanBeTurnedUnseen) {
  for (const char* const name : {"cca-good.evidence", "snp-good.evidence"}) {
    const Row row = row_of(name);
    const Bytes& good = files().at(name);
    for (std::size_t i = 0; i < good.size(); i += 3) {
      Bytes bent = good;
      bent[i] ^= std::byte{0x10};
      EXPECT_FALSE(trusted(verdict_on_guest(row, bent))) << name << " " << i;
      EXPECT_FALSE(trusted(verdict_on_guest(
          row, Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(i)))));
    }
  }
}

/// The key, written in another way: its point compressed, its curve named or spelled out.
crypto::PublicKey with_compressed_point(const crypto::PublicKey& key, bool names_curve) {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> copy(EVP_PKEY_dup(key.handle()),
                                                                 EVP_PKEY_free);
  EVP_PKEY_set_utf8_string_param(copy.get(), OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
                                 "compressed");
  EVP_PKEY_set_utf8_string_param(copy.get(), OSSL_PKEY_PARAM_EC_ENCODING,
                                 names_curve ? "named_curve" : "explicit");
  unsigned char* out = nullptr;
  const int size = i2d_PUBKEY(copy.get(), &out);
  const Bytes der(reinterpret_cast<std::byte*>(out), reinterpret_cast<std::byte*>(out) + size);
  OPENSSL_free(out);
  return *crypto::PublicKey::from_der(der);
}

// Whose private half everybody has, a platform proves nothing: who wants it says so.
TEST(JudgeCca, TheModelsPlatformIsRefusedUnlessThePolicyTakesIt) {
  const Row row = row_of("cca-good.evidence");
  Policy wanted = policy(row.policy);
  auto now = circumstances(row);
  const auto failing = [&] {
    return failed(judge(CcaStatement::of(files().at(row.file)), wanted.cca, now));
  };
  EXPECT_EQ(failing(), "-");
  const crypto::PublicKey model = wanted.cca.platform_keys.at(0);
  now.model_keys.push_back(model);
  EXPECT_EQ(failing(), "platform.model");
  for (const bool names_curve : {true, false}) {
    wanted.cca.platform_keys = {with_compressed_point(model, names_curve)};
    EXPECT_NE(wanted.cca.platform_keys.at(0).der(), model.der());
    EXPECT_EQ(failing(), "platform.model") << names_curve;
  }
  wanted.cca.allow_model = true;
  EXPECT_EQ(failing(), "-");
}

TEST(JudgeCca, NothingIsTrustedWithoutAKeyOrAChallenge) {
  const Row row = row_of("cca-good.evidence");
  EXPECT_EQ(failed(judge(CcaStatement::of(files().at(row.file)), CcaPolicy{}, Circumstances{})),
            "platform.signature,freshness.challenge");
}

TEST(JudgeSnp, NothingIsTrustedWithoutACertificateARootOrReportData) {
  const Row row = row_of("snp-good.evidence");
  const auto s = SnpStatement::of(files().at(row.file));
  EXPECT_EQ(failed(judge(s, Policy{}, Circumstances{})), "chain.form,freshness.report-data");
  Policy certificate;
  certificate.snp.certificates = policy(row.policy).snp.certificates;
  EXPECT_EQ(failed(judge(s, certificate, circumstances(row))), "chain.signatures");
  certificate.roots = policy("policy.toml").roots;
  EXPECT_EQ(failed(judge(s, certificate, circumstances(row))), "chain.signatures");
}

// The order of certificates in a file is its maker's affair.
TEST(JudgeSnp, TakesCertificatesInAnyOrder) {
  const Row row = row_of("snp-good.evidence");
  Policy wanted = policy(row.policy);
  const auto s = SnpStatement::of(files().at(row.file));
  wanted.snp.certificates.push_back(wanted.roots.at(0));
  std::ranges::reverse(wanted.snp.certificates);
  EXPECT_EQ(failed(judge(s, wanted, circumstances(row))), "-");
}

TEST(Corpus, AnythingCutOffIsRefused) {
  const Bytes& good = files().at("good.evidence");
  const Policy wanted = policy("policy.toml");
  const Row row = rows().front();
  for (std::size_t size = 0; size < good.size(); size += 13) {
    auto bundle = Bundle::decode(ByteView(good).first(size));
    if (!bundle) continue;  // cut between two parts of the bundle, it is a bundle
    EXPECT_FALSE(trusted(judge(Statement::of(*std::move(bundle)), wanted, circumstances(row))));
  }
}

TEST(Show, DecodesEverythingThatIsThere) {
  const std::string shown =
      as_text(as_json(Statement::of(*Bundle::decode(files().at("good.evidence")))));
  for (const char* const words :
       {"device: teeio:corpus:1", "version: 1.4", "hash: SHA-384", "signature: ECDSA-P384",
        "type: svn", "means: 7", "operational: normal; no debugging", "pages: 256",
        "no update after lock"})
    EXPECT_NE(shown.find(words), std::string::npos) << words << "\n" << shown;
  const std::string dice =
      as_text(as_json(Statement::of(*Bundle::decode(files().at("good-dice.evidence")))));
  for (const char* const words : {"ueid: 01c0ffee0001", "vendor: teeio", "svn: 3", "SHA-384 (2.16"})
    EXPECT_NE(dice.find(words), std::string::npos) << words << "\n" << dice;
}

TEST(Show, DecodesWhatGuestsProve) {
  const std::string cca = as_text(as_json(CcaStatement::of(files().at("cca-good.evidence"))));
  for (const char* const words :
       {"kind: CCA attestation token", "profile: tag:arm.com,2024:realm#2.0.0", "type: BL31",
        "lifecycle: secured (0x3000)", "algorithm: ES384", "mec: shared", "key: p384"})
    EXPECT_NE(cca.find(words), std::string::npos) << words << "\n" << cca;
  const std::string snp = as_text(as_json(SnpStatement::of(files().at("snp-debug.evidence"))));
  for (const char* const words : {"kind: SNP attestation report", "allows: SMT, debug", "key: VCEK",
                                  "boot loader 4, TEE 0, SNP 22, microcode 213", "abi: 1.55"})
    EXPECT_NE(snp.find(words), std::string::npos) << words << "\n" << snp;
}

}  // namespace
}  // namespace teeio::evidence
