// Every row of tio_checks.cc: the command succeeds as it is, and is refused with the row's
// status when that one check alone is violated.

#include <fmt/format.h>

#include "firmware/sev/tio_checks.h"
#include "unit/firmware/sev/large_pages.h"
#include "unit/firmware/sev/machine.h"

namespace teeio::sev {
namespace {

using enum TioCheckId;

struct Case {
  TioCommand command;
  std::optional<TioCheck> check;  ///< none: the command as it should be
};
std::vector<Case> cases() {
  std::vector<Case> all;
  for (const auto& [command, name, source, effect] : tio_rows()) {
    all.push_back({command, std::nullopt});
    for (const TioCheck& check : tio_checks(command)) all.push_back({command, check});
  }
  return all;
}

class Refusal : public Machine, public testing::WithParamInterface<Case> {
 protected:
  [[nodiscard]] TioCommand command() const { return GetParam().command; }

  /// The state in which the command succeeds.
  void prepare() {
    const auto number = static_cast<std::uint16_t>(command());
    if (command() == TioCommand::kStatus || command() == TioCommand::kInit) return;
    init();
    if (command() == TioCommand::kDevCreate) {
      device_context = alloc(2, true);
      return;
    }
    create();
    if (command() == TioCommand::kDevReclaim || command() == TioCommand::kDevConnect) return;
    connect();
    guest = &make_guest(gctx = firmware_page(), kAsid, 1);
    if (command() == TioCommand::kTdiCreate) {
      tdi_context = alloc(1, true);
      return;
    }
    if (number < static_cast<std::uint16_t>(TioCommand::kTdiReclaim)) return;
    if (command() == TioCommand::kAsidFenceClear || command() == TioCommand::kAsidFenceStatus ||
        command() == TioCommand::kRollKey)
      return;
    create_tdi();
    if (command() == TioCommand::kTdiReclaim || command() == TioCommand::kTdiBind) return;
    bind();
    post(TioMessage::kTdiInfoRequest, tdi_info_request());
  }

  void force_disconnect() {
    TioOperands in = operands();
    in.flags = kForce;
    ASSERT_STATUS(drive(TioCommand::kDevDisconnect, in));
  }
  /// Another card behind the other port.
  Sla other_device() {
    TioOperands in = operands();
    in.device = alloc(2, true);
    in.device_id = 0x200;
    in.root_port_id = 4;
    EXPECT_STATUS(drive(TioCommand::kDevCreate, in), Status::kSuccess);
    return in.device;
  }
  Sla other_tdi(std::uint32_t function) {
    TioOperands in = operands();
    in.tdi = alloc(1, true);
    in.function_id = function;
    EXPECT_STATUS(drive(TioCommand::kTdiCreate, in), Status::kSuccess);
    return in.tdi;
  }
  /// Leaves a command of another number waiting.
  void keep_busy() {
    if (command() != TioCommand::kRollKey) {
      EXPECT_STATUS(issue(TioCommand::kRollKey, operands()), Status::kSpdmRequest);
      return;
    }
    tdi_context = other_tdi(kRid);
    EXPECT_STATUS(issue(TioCommand::kTdiStatus, operands()), Status::kSpdmRequest);
  }
  void spoil_state(TioCheckId check);
  void spoil_operands(TioCheckId check, TioOperands& in);
};

/// Offset of the first byte of a reserved field.
std::size_t reserved_at(TioCommand command) {
  TioOperands probe;
  const auto layout = tio_layout(command);
  const Bytes clean = probe.encode(layout);
  for (std::size_t at = 4; at < clean.size(); ++at) {
    Bytes bent = clean;
    bent[at] = std::byte{1};
    if (!TioOperands::decode(layout, Reader(ByteView(bent).subspan(4))).reserved_zero) return at;
  }
  return 0;
}

void Refusal::spoil_state(TioCheckId check) {
  if (check == kEnabled || check == kInit) {
    if (guest != nullptr) psp.remove_guest(gctx);
    ASSERT_STATUS(snp_shutdown());
    snp_init(check == kInit ? kInitRmp | kInitTioEnable : kInitRmp);
  }
  if (check == kNotInit) init();
  if (check == kNewDevice) {
    create();
    device_context = alloc(2, true);
  }
  if (check == kNewTdi) (void)other_tdi(kRid);
  if (check == kIdle) keep_busy();
  if (check == kCreated) connect();
  if (check == kConnected) force_disconnect();
  if (check == kNoTdi) {
    connect();
    (void)other_tdi(kRid);
    force_disconnect();
  }
  if (check == kNoBoundTdi) {
    create_tdi();
    bind();
  }
  if (check == kGuestLaunched) guest->state = GuestContext::State::kInit;
  if (check == kGuestActive) guest->asid = 0;
  if (check == kBindable || check == kUnbound) bind();
  if (check == kBound || check == kLocked) {
    ASSERT_STATUS(drive(TioCommand::kTdiUnbind));
  }
  if (check == kOffenderGone) {
    create_tdi();
    start();
    guard.violation(kRoot, kRid, kAsid, "a page is gone");
  }
  if (check == kMessage) guest->sequence.at(0) += 2;
  if (check == kMessageAuthentic) {
    std::array<std::byte, 1> byte{};
    const Hpa at = request_page + GuestMessage::kHeaderSize;
    ASSERT_TRUE(memory.read(at, byte));
    byte[0] ^= std::byte{1};
    ASSERT_TRUE(memory.write(at, byte));
  }
}

void Refusal::spoil_operands(TioCheckId check, TioOperands& in) {
  if (check == kFlags) (command() == TioCommand::kTdiBind ? in.run_flags = 0x80 : in.flags = 0x80);
  if (check == kStatusPage) in.status_page = *memory.alloc_page();
  if (check == kDeviceContext) in.device = alloc(2, true);
  if (check == kTdiContext) in.tdi = alloc(1, true);
  if (check == kTdiOfDevice) in.device = other_device();
  if (check == kNewDevicePages) in.device = alloc(2, false);
  if (check == kNewTdiPages) in.tdi = alloc(1, false);
  if (check == kRootPort) in.root_port_id = 99;
  if (check == kBuffers) in.spdm.scratch = {};
  if (check == kBufferPages) in.spdm.response = alloc(1, true);
  if (check == kTrafficClass) in.tc_mask = 3;
  if (check == kCertificateSlot) in.certificate_slot = 8;
  if (check == TioCheckId::kStream) in.stream_ids[0] = 99;
  if (check == kGuest) in.guest = firmware_page();
  if (check == kSameGuest) {
    (void)make_guest(in.guest = firmware_page(), kAsid + 1, 2);
    if (command() == TioCommand::kTdiBind) {
      bind();
      in.run_flags = kRunForce;
    }
  }
  if (check == kGuestIdFree) {
    bind();
    in.tdi = other_tdi(kOtherRid);
  }
  if (check == kLockFlags) in.lock_flags = wire::kLockSystemCacheLineSize;
  if (check == TioCheckId::kAsid) in.asid = 0;
  if (check == kRequestPage) in.request_page = Hpa{0x1000};
  if (check == kResponsePage) in.response_page = *memory.alloc_page();
}

TEST_P(Refusal, IsTheRowsStatus) {
  const auto& check = GetParam().check;
  prepare();
  if (check && check->id == kSession) return;  // session_test.cc
  if (check) spoil_state(check->id);
  TioOperands in = operands();
  if (!check) {
    EXPECT_STATUS(drive(command(), in), Status::kSuccess);
    return;
  }
  spoil_operands(check->id, in);
  Bytes buffer = in.encode(tio_layout(command()));
  if (check->id == kReserved) buffer.at(reserved_at(command())) = std::byte{1};
  const std::size_t before = trace.events().size();
  EXPECT_STATUS(run(static_cast<std::uint16_t>(command()), buffer), check->status);
  // The command was refused for the row's reason, and said so.
  EXPECT_EQ(trace.events().at(before).why, check->why);
  EXPECT_TRUE(facts(before).empty());
}

std::string name_of(const testing::TestParamInfo<Case>& info) {
  const auto number = static_cast<unsigned>(info.param.command);
  return fmt::format("{:x}_{}", number,
                     info.param.check
                         ? fmt::format("check{}", static_cast<unsigned>(info.param.check->id))
                         : std::string("good"));
}
INSTANTIATE_TEST_SUITE_P(Tio, Refusal, testing::ValuesIn(cases()), name_of);

// A command that takes one page would change, or fill, a part of an entry alone.
TEST_F(Machine, APageOfALargeEntryIsNoPageOfItsOwn) {
  const auto refused = [&](TioCommand command, const TioOperands& in) {
    EXPECT_STATUS(issue(command, in), Status::kInvalidPageState);
  };
  const Hpa large = large_firmware_pages(memory, rmp);
  const auto with = [&](auto change) {
    TioOperands in = operands();
    change(in);
    return in;
  };
  init();
  const Hpa list = *memory.alloc_page();
  ASSERT_TRUE(
      memory.write(list, Writer().le(raw(large)).le(raw(large) + kPageSize).le(Sla::kEnd).take()));
  refused(TioCommand::kDevCreate, with([&](auto& in) { in.device = Sla::of(list, true); }));
  refused(TioCommand::kStatus, with([&](auto& in) { in.status_page = large; }));
  create();
  refused(TioCommand::kDevConnect, with([&](auto& in) { in.spdm.output = Sla::of(large); }));
  connect();
  refused(TioCommand::kTdiCreate, with([&](auto& in) { in.tdi = Sla::of(large); }));
  guest = &make_guest(gctx = firmware_page(), kAsid, 1);
  create_tdi();
  bind();
  post(TioMessage::kTdiInfoRequest, tdi_info_request());
  refused(TioCommand::kGuestRequest, with([&](auto& in) { in.response_page = large; }));
  for (const Hpa page : {large, large + kPageSize})
    EXPECT_EQ(rmp.state(page), PageState::kFirmware);
}

TEST(TioChecks, EveryRowHasAReasonAndASource) {
  for (const auto& [command, name, source, effect] : tio_rows())
    for (const TioCheck& check : tio_checks(command)) {
      EXPECT_FALSE(check.why.empty());
      EXPECT_FALSE(check.source.empty());
      EXPECT_NE(check.status, Status::kSuccess);
    }
}

}  // namespace
}  // namespace teeio::sev
