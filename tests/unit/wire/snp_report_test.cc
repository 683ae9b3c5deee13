#include "wire/snp_report.h"

#include <gtest/gtest.h>

namespace teeio::wire {
namespace {

constexpr std::uint64_t kTcb = 0xd516'0000'0000'0504;

Bytes whole(const SnpReport& report) {
  Bytes bytes = report.encode();
  bytes.resize(SnpReport::kSize);
  return bytes;
}

TEST(SnpReport, ComesBack) {
  SnpReport report{.guest_svn = 3, .policy = 0xb'0000, .vmpl = 2, .reported_tcb = kTcb};
  report.report_data.fill(std::byte{0xa5});
  report.chip_id.fill(std::byte{0xc1});
  report.family_id.fill(std::byte{0xfa});
  report.image_id.fill(std::byte{0x1a});
  report.id_key_digest.fill(std::byte{0x1d});
  report.author_key_digest.fill(std::byte{0xad});
  report.author_key_enabled = true;
  const auto back = SnpReport::decode(whole(report));
  ASSERT_TRUE(back.has_value()) << back.error().why;
  EXPECT_EQ(back->encode(), report.encode());
  EXPECT_EQ(back->guest_svn, 3U);
  EXPECT_EQ(back->abi_version, 0x0137U);
  EXPECT_EQ(report.encode()[0x10], std::byte{0xfa}) << "FAMILY_ID";
  EXPECT_EQ(report.encode()[0x20], std::byte{0x1a}) << "IMAGE_ID";
  EXPECT_EQ(report.encode()[0x48], std::byte{1}) << "AUTHOR_KEY_EN";
  EXPECT_EQ(report.encode()[0xe0], std::byte{0x1d}) << "ID_KEY_DIGEST";
  EXPECT_EQ(report.encode()[0x110], std::byte{0xad}) << "AUTHOR_KEY_DIGEST";
}

TEST(SnpReport, OnlyKnownVersionsAndSizesAreRead) {
  for (const std::uint32_t version : {0U, 1U, 2U, 3U, 5U, 6U})
    EXPECT_EQ(SnpReport::is_one(whole({.version = version})), version >= 2 && version <= 5)
        << version;
  Bytes bytes = whole({});
  bytes.push_back(std::byte{0});
  EXPECT_FALSE(SnpReport::decode(bytes));
  bytes = whole({});
  bytes[0x34] = std::byte{2};
  EXPECT_FALSE(SnpReport::decode(bytes)) << "another algorithm";
}

// Turin has an FMC first; the family says which, and only from version 3 on.
TEST(SnpReport, TheOrderOfVersionsIsTheFamilys) {
  const auto tcb = [](std::uint32_t version, std::uint8_t family) {
    const auto report =
        SnpReport::decode(whole({.version = version, .reported_tcb = kTcb, .cpu_family = family}));
    return report->tcb(report->reported_tcb);
  };
  EXPECT_EQ(tcb(3, 0x19).boot_loader, 4U);
  EXPECT_EQ(tcb(3, 0x19).tee, 5U);
  EXPECT_EQ(tcb(3, 0x19).snp, 0x16U);
  EXPECT_EQ(tcb(3, 0x19).microcode, 0xd5U);
  EXPECT_EQ(tcb(3, 0x1a).fmc, 4U);
  EXPECT_EQ(tcb(3, 0x1a).boot_loader, 5U);
  EXPECT_EQ(tcb(3, 0x1a).microcode, 0xd5U);
  EXPECT_EQ(tcb(2, 0x1a).boot_loader, 4U);
}

TEST(SnpReport, ASignatureComesBackFromItsField) {
  Bytes signature;
  for (unsigned i = 0; i < 96; ++i) signature.push_back(static_cast<std::byte>(i));
  Bytes bytes = SnpReport{}.encode();
  const Bytes field = snp_signature_field(signature);
  EXPECT_EQ(field[0], std::byte{47}) << "little-endian";
  EXPECT_EQ(field[72], std::byte{95});
  bytes.insert(bytes.end(), field.begin(), field.end());
  ASSERT_TRUE(SnpReport::is_one(bytes));
  EXPECT_EQ(snp_signature(bytes), signature);
}

}  // namespace
}  // namespace teeio::wire
