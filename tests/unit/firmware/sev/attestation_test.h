#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "firmware/sev/attestation.h"
#include "firmware/sev/launch.h"

namespace teeio::sev::test {

/// What a report says that this key has signed.
inline Result<AttestationReport> verified(ByteView report, const crypto::PublicKey& vcek) {
  TEEIO_ASSIGN(const AttestationReport found, AttestationReport::decode(report));
  TEEIO_TRY(vcek.verify(crypto::SignatureAlgorithm::kEcdsaP384, crypto::HashAlgorithm::kSha384,
                        report.first(AttestationReport::kSigned), wire::snp_signature(report)));
  return found;
}

class AttestationTest : public testing::Test {
 protected:
  AttestationTest() {
    EXPECT_EQ(run(kSnpInitEx, Writer().le(kInitRmp).zeros(60).take()), Status::kSuccess);
    response_page = firmware_page();
    gctx = firmware_page();
    GuestContext& made = psp.make_guest(gctx);
    made.state = GuestContext::State::kRunning;
    made.policy = kPolicyMustBeOne;
    made.launch_tcb = 7;
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
    const auto checks = row::kSnpGuestRequest.checks;
    const auto check = std::ranges::find(checks, id, &Check::id);
    ASSERT_NE(check, checks.end()) << id;
    EXPECT_EQ(status_name(request()), status_name(check->status)) << id;
    seen.emplace(id);
  }
  /// SNP_LAUNCH_FINISH with this ID block, of a guest that is in launch again.
  Status finish(const Bytes& block, const Bytes& by, std::uint64_t flags) {
    guest().state = GuestContext::State::kLaunch;
    guest().asid = 5;
    const Hpa page = *memory.alloc_page();
    const Hpa by_page = *memory.alloc_page();
    EXPECT_TRUE(memory.write(page, block));
    EXPECT_TRUE(memory.write(by_page, by));
    Writer out;
    out.le(raw(gctx)).le(raw(page)).le(raw(by_page)).le(flags).bytes(guest().host_data);
    return run(kSnpLaunchFinish, out.take());
  }
  AttestationReport report() {
    const Bytes payload = answer({});
    return *verified(ByteView(payload).subspan(32), vcek());
  }
  crypto::PublicKey vcek() { return attestation.endorsement().leaf().public_key(); }
  Status configure(const TcbVersion& reported, std::uint32_t mask = 0) {
    return run(kSnpConfig, Writer().le(reported.encode()).le(mask).zeros(52).take());
  }

  hw::PhysicalMemory memory{1U << 24U};
  object::Trace trace;
  Rmp rmp{memory};
  Platform psp{memory, trace, rmp, {}};
  IoGuard guard{trace};
  Launch launch{psp, guard};
  Attestation attestation{psp};
  Hpa buffer_page = *memory.alloc_page();
  Hpa request_page = *memory.alloc_page();
  Hpa response_page{0}, gctx{0};
  Bytes user_data = Bytes(64, std::byte{0xab});
  std::set<std::string, std::less<>> seen;
};

}  // namespace teeio::sev::test
