#include "firmware/sev/id_block.h"

#include "unit/firmware/sev/attestation_test.h"
#include "unit/firmware/sev/id_owner.h"

// SNP_LAUNCH_FINISH's ID block in a guest's reports; its checks are walked in rows_test.cc.

namespace teeio::sev {
namespace {

using test::AttestationTest;
using test::IdOwner;

// snp_mcmd_launch_finish(), and MSG_REPORT_REQ of snp_mcmd_guest_request().
TEST_F(AttestationTest, AReportSaysWhatTheIdBlockSaidAndWhoSignedIt) {
  const IdOwner owner;
  const auto digest = [](ByteView field) {
    std::array<std::byte, 48> out{};
    std::ranges::copy(crypto::hash(crypto::HashAlgorithm::kSha384, field).view(), out.begin());
    return out;
  };
  const Bytes block = IdOwner::block(guest().digest, guest().policy);
  ASSERT_EQ(finish(block, owner.authentication(block), 3), Status::kSuccess);
  const AttestationReport both = report();
  EXPECT_EQ(both.family_id.front(), std::byte{0xfa});
  EXPECT_EQ(both.image_id.front(), std::byte{0x1a});
  EXPECT_EQ(both.guest_svn, 7U);
  EXPECT_EQ(both.id_key_digest, digest(IdOwner::key_field(owner.id_key)));
  EXPECT_EQ(both.author_key_digest, digest(IdOwner::key_field(owner.author_key)));
  EXPECT_TRUE(both.author_key_enabled);
}

TEST_F(AttestationTest, WithoutAnAuthorNobodyLooksForOne) {
  const IdOwner owner;
  const Bytes block = IdOwner::block(guest().digest, guest().policy);
  Bytes by = owner.authentication(block);
  by.resize(0x680);
  by.resize(4096);
  by[4] = std::byte{0};  // the author's algorithm
  EXPECT_EQ(finish(block, by, 1), Status::kSuccess);
  EXPECT_FALSE(report().author_key_enabled);
  EXPECT_EQ(report().author_key_digest, (std::array<std::byte, 48>{}));
  by[0] = std::byte{2};
  EXPECT_EQ(finish(block, by, 1), Status::kInvalidParam) << "the ID key's algorithm";
}

TEST_F(AttestationTest, AnIdBlockStaysWhenItsAuthorIsRefused) {
  const IdOwner owner;
  const Bytes block = IdOwner::block(guest().digest, guest().policy);
  Bytes by = owner.authentication(block);
  by[0x680] ^= std::byte{1};
  EXPECT_EQ(finish(block, by, 3), Status::kBadSignature);
  EXPECT_EQ(finish({}, {}, 0), Status::kSuccess) << "the next try has no ID block";
  EXPECT_EQ(report().guest_svn, 7U);
  EXPECT_FALSE(report().author_key_enabled);
}

}  // namespace
}  // namespace teeio::sev
