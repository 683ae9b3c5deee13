// Reports of every kind of chip and key against certificates that are, or are not, theirs.
#include <gtest/gtest.h>

#include "crypto/issue.h"
#include "evidence/judge.h"
#include "evidence/snp.h"

namespace teeio::evidence {
namespace {

using SigningKey = wire::SnpReport::SigningKey;
constexpr std::size_t kTurinChip = 8;

struct Made {
  bool turin = true;
  SigningKey signing_key = SigningKey::kVcek;
  std::optional<unsigned> certified_fmc = 9;
  bool certifies_chip = true;
  bool certifies_provider = false;
  std::byte behind_chip{0};
  unsigned at = 0;  ///< a byte of the signature's field that is not zero; 0: none
};

Bytes integer(unsigned value) {
  return {std::byte{2}, std::byte{1}, static_cast<std::byte>(value)};
}

std::size_t chip_size(const Made& made) { return made.turin ? kTurinChip : 64; }

crypto::LeafExtras extras(const Made& made) {
  const std::string amd = "1.3.6.1.4.1.3704.1.";
  crypto::LeafExtras out;
  out.extensions = {{amd + "3.1", integer(4)},
                    {amd + "3.2", integer(0)},
                    {amd + "3.3", integer(22)},
                    {amd + "3.8", integer(100)}};
  if (made.certified_fmc) out.extensions.emplace_back(amd + "3.9", integer(*made.certified_fmc));
  if (made.certifies_chip)
    out.extensions.emplace_back(amd + "4", Bytes(chip_size(made), std::byte{0xc1}));
  if (made.certifies_provider)
    out.extensions.emplace_back(amd + "5", Bytes{std::byte{0x16}, std::byte{1}, std::byte{'x'}});
  return out;
}

Bytes report_of(const Made& made, const crypto::PrivateKey& key) {
  wire::SnpReport report{.version = 3, .policy = 0x3'0000};
  report.reported_tcb = made.turin ? 0x6400'0000'1600'0409 : 0x6416'0000'0000'0004;
  report.cpu_family = made.turin ? 0x1a : 0x19;
  report.signing_key = made.signing_key;
  report.chip_id.fill(made.behind_chip);
  std::fill_n(report.chip_id.begin(), chip_size(made), std::byte{0xc1});
  Bytes bytes = report.encode();
  const auto field = wire::snp_signature_field(
      *key.sign(crypto::SignatureAlgorithm::kEcdsaP384, crypto::HashAlgorithm::kSha384, bytes));
  bytes.insert(bytes.end(), field.begin(), field.end());
  if (made.at != 0) bytes.at(wire::SnpReport::kSigned + made.at) = std::byte{1};
  return bytes;
}

/// The clauses that fail; "": it is trusted.
std::string failing(const Made& made) {
  const auto pki = crypto::make_pki({.name = "VCEK"}, extras(made));
  Policy policy;
  policy.roots = {pki->device.chain.first()};
  const auto certificates = pki->device.chain.certificates();
  policy.snp.certificates.assign(certificates.begin(), certificates.end());
  policy.snp.fmc = made.turin ? std::optional<std::uint64_t>(9) : std::nullopt;
  Circumstances now;
  now.unix_time = 1'795'910'400;  // 2026-11-29
  now.nonce = Bytes(64);
  policy.snp.measurements = {Bytes(48)};
  std::string out;
  for (const Clause& one : judge(SnpStatement::of(report_of(made, pki->device.key)), policy, now))
    if (one.verdict == Verdict::kFails) out += one.id + ";";
  return out;
}

TEST(JudgeSnp, ATurinsFmcIsWhatItsCertificateSays) {
  EXPECT_EQ(failing({}), "");
  EXPECT_EQ(failing({.certified_fmc = 1}), "chain.tcb;") << "the report claims 9";
  EXPECT_EQ(failing({.certified_fmc = std::nullopt}), "chain.tcb;");
  EXPECT_EQ(failing({.turin = false, .certified_fmc = std::nullopt}), "") << "Milan has none";
}

TEST(JudgeSnp, TheCertificateIsOfTheKindOfKeyThatTheReportSays) {
  const auto vlek = SigningKey::kVlek;
  EXPECT_EQ(failing({.signing_key = vlek, .certifies_chip = false, .certifies_provider = true}),
            "");
  EXPECT_EQ(failing({.signing_key = vlek}), "chain.tcb;") << "a VCEK's";
  EXPECT_EQ(failing({.signing_key = vlek, .certifies_provider = true}), "chain.tcb;");
  EXPECT_EQ(failing({.signing_key = vlek, .certifies_chip = false}), "chain.tcb;");
  EXPECT_EQ(failing({.certifies_provider = true}), "chain.tcb;");
  EXPECT_EQ(failing({.certifies_chip = false, .certifies_provider = true}), "chain.tcb;")
      << "a VLEK's, and the report says VCEK";
  EXPECT_EQ(failing({.signing_key = static_cast<SigningKey>(5)}), "report.form;") << "reserved";
}

TEST(JudgeSnp, AllOfTheChipsIdentifierCounts) {
  EXPECT_EQ(failing({.behind_chip = std::byte{0x77}}), "chain.tcb;");
}

// 56860, "Signature": numbers of 72 bytes, zero-extended, and 368 bytes that are reserved.
TEST(JudgeSnp, WhatIsNotOfTheSignatureIsZero) {
  for (const unsigned at : {48U, 71U, 120U, 143U, 144U, 511U})
    EXPECT_EQ(failing({.at = at}), "report.signature;") << at;
}

}  // namespace
}  // namespace teeio::evidence
