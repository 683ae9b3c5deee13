#include "firmware/sev/attestation.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "firmware/sev/launch.h"

// SNP_GUEST_REQUEST: a report that verifies, and each refusal alone.

namespace teeio::sev {
namespace {

class AttestationTest : public testing::Test {
 protected:
  AttestationTest() {
    EXPECT_EQ(run(kSnpInitEx, Writer().le(kInitRmp).zeros(60).take()), Status::kSuccess);
    response_page = firmware_page();
    gctx = firmware_page();
    GuestContext& made = psp.make_guest(gctx);
    made.state = GuestContext::State::kRunning;
    made.policy = kPolicyMustBeOne;
    made.digest.fill(std::byte{0xd1});
    made.host_data.fill(std::byte{0x4d});
    made.report_id.fill(std::byte{0x1d});
    for (std::size_t n = 0; n < GuestContext::kMessageKeys; ++n)
      made.message_keys.at(n).fill(static_cast<std::byte>(0x40 + n));
  }
  Hpa firmware_page() {
    const Hpa made = *memory.alloc_page();
    EXPECT_EQ(rmp.update(made, {.assigned = true, .immutable = true}), RmpStatus::kSuccess);
    return made;
  }
  Status run(std::uint16_t number, const Bytes& buffer) {
    EXPECT_TRUE(memory.write(buffer_page, buffer));
    return psp.command(number, buffer_page);
  }
  Status request() {
    return run(kSnpGuestRequest,
               Writer().le(raw(gctx)).le(raw(request_page)).le(raw(response_page)).take());
  }
  GuestContext& guest() { return *psp.guest(gctx); }

  struct Ask {
    std::uint32_t vmpl = 0;
    std::uint32_t key_select = 0;
    std::uint8_t type = kReportRequest;
    std::uint8_t key = 0;
    std::uint8_t last = 0;  ///< the last reserved byte
    std::uint64_t ahead = 1;
  };
  void post(const Ask& ask) {
    const GuestMessage message{.sequence = guest().sequence.at(ask.key) + ask.ahead,
                               .type = ask.type,
                               .key = ask.key,
                               .payload = Writer()
                                              .bytes(user_data)
                                              .le(ask.vmpl)
                                              .le(ask.key_select)
                                              .zeros(23)
                                              .le(ask.last)
                                              .take()};
    write(message.seal(guest().message_keys.at(ask.key)));
  }
  void write(const Bytes& bytes) { EXPECT_TRUE(memory.write(request_page, bytes)); }
  /// MSG_REPORT_RSP.
  Bytes answer(const Ask& ask) {
    post(ask);
    EXPECT_EQ(status_name(request()), "SEV_RET_SUCCESS");
    Bytes page(kPageSize);
    EXPECT_TRUE(memory.read(response_page, page));
    const auto sealed = SealedMessage::decode(page);
    if (!sealed) return {};
    const auto opened = sealed->open(guest().message_keys.at(ask.key));
    EXPECT_TRUE(opened.has_value());
    return opened ? opened->payload : Bytes{};
  }
  std::uint32_t status_of(const Ask& ask) {
    const Bytes payload = answer(ask);
    return Reader(payload).le<std::uint32_t>();
  }
  /// Refused by that row's status, and the row is ticked off.
  void refused(std::string_view id) {
    const auto checks = Attestation::checks();
    const auto row = std::ranges::find(checks, id, &Attestation::Check::id);
    ASSERT_NE(row, checks.end()) << id;
    EXPECT_EQ(status_name(request()), status_name(row->status)) << id;
    seen.emplace(id);
  }

  hw::PhysicalMemory memory{1U << 24U};
  object::Trace trace;
  Rmp rmp{memory};
  Platform psp{memory, trace, rmp, {}};
  Attestation attestation{psp};
  Hpa buffer_page = *memory.alloc_page();
  Hpa request_page = *memory.alloc_page();
  Hpa response_page{0}, gctx{0};
  Bytes user_data = Bytes(64, std::byte{0xab});
  std::set<std::string, std::less<>> seen;
};

TEST_F(AttestationTest, AReportSaysWhatWasLaunchedAndVerifies) {
  const Bytes payload = answer({.vmpl = 1});
  constexpr std::size_t kHead = 32;
  ASSERT_EQ(payload.size(), kHead + AttestationReport::kSize);
  const ByteView bytes = ByteView(payload).subspan(kHead);
  const auto report = AttestationReport::verify(bytes, attestation.vcek());
  ASSERT_TRUE(report.has_value()) << report.error().why;
  EXPECT_EQ(report->vmpl, 1U);
  EXPECT_EQ(report->policy, kPolicyMustBeOne);
  EXPECT_TRUE(std::ranges::equal(report->report_data, user_data));
  EXPECT_EQ(report->measurement, guest().digest);
  EXPECT_EQ(report->host_data, guest().host_data);
  EXPECT_EQ(report->report_id, guest().report_id);
  EXPECT_EQ(guest().sequence.at(0), 2U) << "a number for each way";
}

// Source: 56860, "ATTESTATION_REPORT"; as sev-guest tools read it.
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
  EXPECT_EQ(report[0x1e9], std::byte{55}) << "CURRENT_MINOR";
  EXPECT_EQ(report[0x1ea], std::byte{1}) << "CURRENT_MAJOR";
}

TEST_F(AttestationTest, AReportThatWasChangedDoesNotVerify) {
  const Bytes payload = answer({});
  Bytes report(payload.begin() + 32, payload.end());
  const auto error = [&] {
    const auto verified = AttestationReport::verify(report, attestation.vcek());
    return verified ? Errno{} : verified.error().code;
  };
  report[0x90] ^= std::byte{1};
  EXPECT_EQ(error(), Errno::kAcces);
  report[0x90] ^= std::byte{1};
  report[AttestationReport::kSigned] ^= std::byte{1};
  EXPECT_EQ(error(), Errno::kAcces);
  report[AttestationReport::kSigned] ^= std::byte{1};
  EXPECT_EQ(error(), Errno{});
  report[0] = std::byte{3};
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
}

TEST_F(AttestationTest, EachCheckRefusesAlone) {
  post({});
  const Hpa mine = std::exchange(gctx, request_page);
  refused("guest");
  gctx = mine;
  guest().state = GuestContext::State::kInit;
  refused("launched");
  guest().state = GuestContext::State::kRunning;
  const Hpa there = std::exchange(request_page, Hpa{1U << 25U});
  refused("request_page");
  request_page = there;
  const Hpa answers = std::exchange(response_page, there);
  refused("response_page");
  response_page = answers + 8;
  refused("response_page");
  response_page = answers;
  write(Bytes(kPageSize));
  refused("header");
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
  EXPECT_EQ(guest().sequence.at(0), 5U) << "this one has";
  EXPECT_EQ(status_of({}), 0U);

  Platform off(memory, trace, rmp, {});
  const Attestation other(off);
  const Bytes buffer(24);
  ASSERT_TRUE(memory.write(buffer_page, buffer));
  EXPECT_EQ(off.command(kSnpGuestRequest, buffer_page), Status::kInvalidPlatformState);
  seen.emplace("snp");
  EXPECT_EQ(seen.size(), Attestation::checks().size());
}

TEST_F(AttestationTest, AReplayedRequestIsRefused) {
  post({});
  EXPECT_EQ(request(), Status::kSuccess);
  EXPECT_EQ(request(), Status::kInvalidParam);
}

}  // namespace
}  // namespace teeio::sev
