#include "unit/firmware/sev/attestation_test.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "unit/firmware/sev/large_pages.h"

// SNP_GUEST_REQUEST: a report that verifies, and each refusal alone.

namespace teeio::sev {
namespace {

using test::AttestationTest;
using test::verified;

TEST_F(AttestationTest, AReportSaysWhatWasLaunchedAndVerifies) {
  const Bytes payload = answer({.vmpl = 1});
  constexpr std::size_t kHead = 32;
  ASSERT_EQ(payload.size(), kHead + AttestationReport::kSize);
  const ByteView bytes = ByteView(payload).subspan(kHead);
  const auto report = verified(bytes, vcek());
  ASSERT_TRUE(report.has_value()) << report.error().why;
  EXPECT_EQ(report->vmpl, 1U);
  EXPECT_EQ(report->policy, kPolicyMustBeOne);
  EXPECT_TRUE(std::ranges::equal(report->report_data, user_data));
  EXPECT_EQ(report->measurement, guest().digest);
  EXPECT_EQ(report->host_data, guest().host_data);
  EXPECT_EQ(report->report_id, guest().report_id);
  EXPECT_EQ(guest().sequence.at(0), 2U) << "a number for each way";
}

// Source: virtee/sev src/firmware/guest/types/snp.rs, AttestationReport.
TEST_F(AttestationTest, FieldsAreWhereTheAbiHasThem) {
  const Bytes payload = answer({.vmpl = 2});
  const ByteView report = ByteView(payload).subspan(32);
  EXPECT_EQ(report[0x00], std::byte{2});
  EXPECT_EQ(report[0x30], std::byte{2}) << "VMPL";
  EXPECT_EQ(report[0x34], std::byte{1}) << "ECDSA P-384 with SHA-384";
  EXPECT_EQ(report[0x50], std::byte{0xab}) << "REPORT_DATA";
  EXPECT_EQ(report[0x90], std::byte{0xd1}) << "MEASUREMENT";
  EXPECT_EQ(report[0xc0], std::byte{0x4d}) << "HOST_DATA";
  EXPECT_EQ(report[0x140], std::byte{0x1d}) << "REPORT_ID";
  EXPECT_EQ(report[0x160], std::byte{0xff}) << "REPORT_ID_MA";
  const auto tcb_at = [&](std::size_t at) {
    return Reader(report.subspan(at)).le<std::uint64_t>();
  };
  for (const std::size_t at : {0x38U, 0x180U, 0x1e0U}) {
    EXPECT_EQ(tcb_at(at), Chip::kCurrent.encode()) << at;
    EXPECT_EQ(report[at], std::byte{Chip::kCurrent.boot_loader});
    EXPECT_EQ(report[at + 7], std::byte{Chip::kCurrent.microcode});
  }
  EXPECT_EQ(tcb_at(0x1f0), 7U) << "LAUNCH_TCB";
  EXPECT_TRUE(std::ranges::equal(report.subspan(0x1a0, 64), psp.chip().id())) << "CHIP_ID";
  EXPECT_EQ(report[0x1e9], std::byte{55}) << "CURRENT_MINOR";
  EXPECT_EQ(report[0x1ea], std::byte{1}) << "CURRENT_MAJOR";
}

TEST_F(AttestationTest, AReportThatWasChangedDoesNotVerify) {
  const Bytes payload = answer({});
  Bytes report(payload.begin() + 32, payload.end());
  const auto error = [&] {
    const auto found = verified(report, vcek());
    return found ? Errno{} : found.error().code;
  };
  report[0x90] ^= std::byte{1};
  EXPECT_EQ(error(), Errno::kAcces);
  report[0x90] ^= std::byte{1};
  report[AttestationReport::kSigned] ^= std::byte{1};
  EXPECT_EQ(error(), Errno::kAcces);
  report[AttestationReport::kSigned] ^= std::byte{1};
  EXPECT_EQ(error(), Errno{});
  report[0] = std::byte{9};
  EXPECT_EQ(error(), Errno::kInval);
  report[0] = std::byte{2};
  report.pop_back();
  EXPECT_EQ(error(), Errno::kInval);
}

TEST_F(AttestationTest, WhatAGuestMayNotAskForIsRefusedInTheAnswer) {
  EXPECT_EQ(status_of({.vmpl = 4}), 0x16U);
  EXPECT_EQ(status_of({.last = 1}), 0x16U) << "a reserved byte";
  EXPECT_EQ(status_of({.vmpl = 1, .key = 2}), 0x16U) << "a VMPL above its own";
  EXPECT_EQ(status_of({.vmpl = 2, .key = 2}), 0U);
  EXPECT_EQ(status_of({.key_select = 1}), 0U) << "VCEK";
  EXPECT_EQ(status_of({.key_select = 2}), 0x27U) << "there is no VLEK";
  EXPECT_EQ(status_of({.vmpl = 1, .key_select = 2, .key = 2}), 0x27U)
      << "the key is looked at first";
}

TEST_F(AttestationTest, AGuestThatMayNotHaveTheVcekHasNoReport) {
  guest().vcek_disabled = true;
  EXPECT_EQ(status_of({}), 0x27U);
  EXPECT_EQ(status_of({.key_select = 1}), 0x27U);
}

/// What a certificate says in an extension of AMD's, by the encoding of its identifier's end.
std::optional<Bytes> extension(const crypto::Certificate& certificate, const Bytes& oid_end) {
  // OBJECT IDENTIFIER 1.3.6.1.4.1.3704.1 and what follows it, then an OCTET STRING.
  Bytes wanted =
      Writer().bytes(std::as_bytes(std::span("\x2b\x06\x01\x04\x01\x9c\x78\x01", 8))).take();
  wanted.insert(wanted.end(), oid_end.begin(), oid_end.end());
  wanted.push_back(std::byte{0x04});
  const ByteView der = certificate.der();
  const auto found = std::ranges::search(der, wanted);
  if (found.empty()) return std::nullopt;
  const auto size = std::to_integer<std::size_t>(*found.end());
  return Bytes(found.end() + 1, found.end() + 1 + static_cast<std::ptrdiff_t>(size));
}

// Source: AMD 57230, 3.1; virtee/sev reads the same extensions.
TEST_F(AttestationTest, TheVcekIsCertifiedForTheChipAndItsTcbVersion) {
  const crypto::CertificateChain chain = attestation.endorsement();
  ASSERT_EQ(chain.certificates().size(), 3U);
  const crypto::TrustAnchors anchors(chain.certificates().first(1));
  EXPECT_TRUE(chain.verify(anchors).has_value());
  const auto integer = [](unsigned char value) {
    return Bytes{std::byte{2}, std::byte{1}, std::byte{value}};
  };
  const auto spl = [&](unsigned char arc) {
    return extension(chain.leaf(), Bytes{std::byte{3}, std::byte{arc}});
  };
  EXPECT_EQ(spl(1), integer(Chip::kCurrent.boot_loader));
  EXPECT_EQ(spl(2), integer(Chip::kCurrent.tee));
  EXPECT_EQ(spl(3), integer(Chip::kCurrent.snp));
  EXPECT_EQ(spl(8),
            (Bytes{std::byte{2}, std::byte{2}, std::byte{0}, std::byte{Chip::kCurrent.microcode}}));
  const auto hwid = extension(chain.leaf(), Bytes{std::byte{4}});
  ASSERT_TRUE(hwid);
  EXPECT_TRUE(std::ranges::equal(*hwid, psp.chip().id()));
}

TEST_F(AttestationTest, AnotherReportedTcbVersionHasAnotherVcek) {
  const crypto::PublicKey now = vcek();
  TcbVersion older = Chip::kCurrent;
  --older.snp;
  ASSERT_EQ(configure(older), Status::kSuccess);
  const Bytes payload = answer({});
  const ByteView bytes = ByteView(payload).subspan(32);
  EXPECT_FALSE(verified(bytes, now));
  const auto report = verified(bytes, vcek());
  ASSERT_TRUE(report);
  EXPECT_EQ(report->reported_tcb, older.encode());
  EXPECT_EQ(report->current_tcb, Chip::kCurrent.encode());
  ASSERT_EQ(configure({}), Status::kSuccess) << "zeros: the committed one";
  EXPECT_EQ(vcek().der(), now.der());
}

TEST_F(AttestationTest, TheHostMayMaskTheChip) {
  ASSERT_EQ(configure({}, 1), Status::kSuccess);
  Bytes payload = answer({});
  auto report = verified(ByteView(payload).subspan(32), vcek());
  ASSERT_TRUE(report);
  EXPECT_EQ(report->chip_id, Chip::Id{});
  ASSERT_EQ(configure({}, 2), Status::kSuccess);
  payload = answer({});
  report = AttestationReport::decode(ByteView(payload).subspan(32));
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->mask_chip_key);
  EXPECT_EQ(report->signing_key, AttestationReport::SigningKey::kNone);
  const ByteView signature = ByteView(payload).subspan(32 + AttestationReport::kSigned);
  EXPECT_TRUE(std::ranges::all_of(signature, [](std::byte b) { return b == std::byte{0}; }));
}

TEST_F(AttestationTest, TheTableNamesEachCertificate) {
  const crypto::CertificateChain chain = attestation.endorsement();
  const Bytes table = certificate_table(chain);
  // ARK, ASK, VCEK: the first bytes of their GUIDs.
  constexpr unsigned char kFirst[] = {0xc0, 0x4a, 0x63};
  for (std::size_t n = 0; n < 3; ++n) {
    Reader entry(ByteView(table).subspan(24 * n));
    EXPECT_EQ(entry.take(16)[0], std::byte{kFirst[n]});
    const auto offset = entry.le<std::uint32_t>();
    const auto size = entry.le<std::uint32_t>();
    EXPECT_TRUE(
        std::ranges::equal(ByteView(table).subspan(offset, size), chain.certificates()[n].der()));
  }
  EXPECT_TRUE(std::ranges::all_of(ByteView(table).subspan(72, 24),
                                  [](std::byte b) { return b == std::byte{0}; }));
}

TEST_F(AttestationTest, EachCheckRefusesAlone) {
  post({});
  const Hpa mine = std::exchange(gctx, request_page);
  refused("guest");
  gctx = mine + 8;
  refused("reserved");
  gctx = mine;
  guest().state = GuestContext::State::kLaunch;
  refused("running");
  guest().state = GuestContext::State::kRunning;
  const Hpa there = std::exchange(request_page, Hpa{1U << 25U});
  refused("request_page");
  request_page = there;
  const Hpa answers = std::exchange(response_page, there);
  refused("response_page");
  response_page = answers + 8;
  refused("response_page");
  response_page = large_firmware_pages(memory, rmp) + kPageSize;
  refused("size");
  response_page = answers;
  write(Bytes(kPageSize));
  refused("header");
  for (const std::size_t length : {0U, 8U}) {
    write(GuestMessage{.sequence = 1, .type = kReportRequest, .key = 0, .payload = Bytes(length)}
              .seal(guest().message_keys.at(0)));
    refused("header");
  }
  guest().sequence.at(0) = ~std::uint64_t{1};
  post({.ahead = 1});
  refused("overflow");
  guest().sequence.at(0) = 4;
  post({.ahead = 2});
  refused("sequence");
  post({.ahead = 0});
  refused("sequence");
  post({});
  const auto key = std::exchange(guest().message_keys.at(0), guest().message_keys.at(1));
  refused("authentic");
  guest().message_keys.at(0) = key;
  EXPECT_EQ(guest().sequence.at(0), 4U) << "none of these has used a number up";
  post({.type = 3});  // MSG_KEY_REQ
  refused("message");
  EXPECT_EQ(guest().sequence.at(0), 4U) << "nor has this one";
  EXPECT_EQ(status_of({}), 0U);

  Platform off(memory, trace, rmp, {});
  const Attestation other(off);
  const Bytes buffer(24);
  ASSERT_TRUE(memory.write(buffer_page, buffer));
  EXPECT_EQ(off.command(kSnpGuestRequest, buffer_page), Status::kInvalidPlatformState);
  seen.emplace("snp");
  EXPECT_EQ(seen.size(), row::kSnpGuestRequest.checks.size());
}

TEST_F(AttestationTest, AReplayedRequestIsRefused) {
  post({});
  EXPECT_EQ(request(), Status::kSuccess);
  EXPECT_EQ(request(), Status::kAeadOverflow);
}

}  // namespace
}  // namespace teeio::sev
