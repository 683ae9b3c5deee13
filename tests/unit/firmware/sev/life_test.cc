#include <gmock/gmock.h>

#include "firmware/sev/conversation.h"
#include "spdm/channel_setup.h"
#include "unit/firmware/sev/machine.h"

namespace teeio::sev {
namespace {

using object::Fact;
using testing::ElementsAre;

class Life : public Machine {
 protected:
  std::uint8_t tdi_state() {
    EXPECT_STATUS(drive(TioCommand::kTdiInfo), Status::kSuccess);
    std::array<std::byte, 20> info{};
    EXPECT_TRUE(memory.read(status_page, info));
    return std::to_integer<std::uint8_t>(info[16]) >> 2U & 3U;
  }
};

TEST(TioLayout, CommandBuffersHaveTheSizesOfTheDriversStructs) {
  const std::pair<TioCommand, std::uint32_t> kSizes[] = {
      {TioCommand::kStatus, 16},          {TioCommand::kInit, 16},
      {TioCommand::kDevCreate, 32},       {TioCommand::kDevReclaim, 16},
      {TioCommand::kDevConnect, 80},      {TioCommand::kDevDisconnect, 48},
      {TioCommand::kDevStatus, 32},       {TioCommand::kDevMeasurements, 80},
      {TioCommand::kDevCertificates, 48}, {TioCommand::kTdiCreate, 48},
      {TioCommand::kTdiReclaim, 32},      {TioCommand::kTdiBind, 80},
      {TioCommand::kTdiUnbind, 64},       {TioCommand::kTdiReport, 64},
      {TioCommand::kTdiStatus, 64},       {TioCommand::kGuestRequest, 80},
      {TioCommand::kAsidFenceClear, 32},  {TioCommand::kAsidFenceStatus, 32},
      {TioCommand::kTdiInfo, 48},         {TioCommand::kRollKey, 48}};
  for (const auto& [command, size] : kSizes)
    EXPECT_EQ(tio_length(command), size) << std::hex << static_cast<unsigned>(command);
}

TEST_F(Life, StatusSaysHowFarThePlatformIs) {
  const auto flags = [&] {
    EXPECT_STATUS(drive(TioCommand::kStatus), Status::kSuccess);
    Bytes page(TioStatus::kSize);
    EXPECT_TRUE(memory.read(status_page, page));
    return TioStatus::decode(page)->flags;
  };
  EXPECT_EQ(flags(), TioStatus::kEnabled);
  init();
  EXPECT_EQ(flags(), TioStatus::kEnabled | TioStatus::kInitDone);
  ASSERT_STATUS(snp_shutdown());
  snp_init(kInitRmp);
  EXPECT_EQ(flags(), 0U);
}

TEST_F(Life, ConnectExpandsTheScratchBufferAndSetsKeysAtBothEnds) {
  init();
  create();
  connect();
  EXPECT_EQ(expansions, 1U);
  EXPECT_TRUE(port.enable_stream(0)) << "all keys are in use";
  const auto output = Buffer::open(memory, buffers.output)->object();
  ASSERT_TRUE(output);
  EXPECT_EQ(output->id, DataObject::Id::kCertificate);
  EXPECT_EQ(output->device_id, kRid);
}

TEST_F(Life, BindEndsLockedAndTheReportIsInTheOutput) {
  up_to_bound();
  EXPECT_EQ(device_state(), wire::TdiState::kConfigLocked);
  EXPECT_EQ(device.tdis[kRid].lock.default_stream_id, kStream);
  EXPECT_EQ(tdi_state(), 1U);
  const auto output = Buffer::open(memory, buffers.output)->object();
  ASSERT_TRUE(output);
  EXPECT_EQ(output->id, DataObject::Id::kReport);
  EXPECT_EQ(output->data, device.report.encode());
  EXPECT_THAT(facts(), ElementsAre(Fact::kMetadataCreated));
  EXPECT_EQ(guest->bound_tdis, 1U);
}

TEST_F(Life, ALockedTdiRunsByASecondBind) {
  up_to_running();
  EXPECT_EQ(device_state(), wire::TdiState::kRun);
  EXPECT_EQ(tdi_state(), 2U);
  EXPECT_EQ(guard.fence(kRoot, kAsid), Fence::kOpen);
  EXPECT_THAT(facts(), ElementsAre(Fact::kMetadataCreated, Fact::kGuestStart));
}

TEST_F(Life, BindWithTheRunFlagLocksAndStartsInOne) {
  init();
  create();
  connect();
  guest = &make_guest(gctx = firmware_page(), kAsid, 1);
  create_tdi();
  start();
  EXPECT_EQ(device_state(), wire::TdiState::kRun);
  EXPECT_THAT(facts(), ElementsAre(Fact::kMetadataCreated, Fact::kGuestStart));
}

TEST_F(Life, AReportOfManyPortionsIsReadWhole) {
  device.report_portion = 8;
  device.report.device_info.assign(100, std::byte{0x33});
  up_to_bound();
  EXPECT_EQ(Buffer::open(memory, buffers.output)->object()->data, device.report.encode());
}

TEST_F(Life, AReportLargerThanTheOutputBufferHasItExpanded) {
  device.report.device_info.assign(2 * kPageSize, std::byte{0x33});
  up_to_bound();
  EXPECT_EQ(expansions, 2U);
  EXPECT_EQ(Buffer::open(memory, buffers.output)->object()->data, device.report.encode());
}

TEST_F(Life, TheWholeOrderOfTakingDown) {
  up_to_running();
  EXPECT_EQ(status_in(ask(TioMessage::kSdteWriteRequest,
                          sdte_request({.valid = true, .read = true, .write = true}))),
            0U);
  const std::size_t before = trace.events().size();
  ASSERT_STATUS(drive(TioCommand::kTdiUnbind));
  EXPECT_EQ(device_state(), wire::TdiState::kConfigUnlocked);
  EXPECT_THAT(facts(before), ElementsAre(Fact::kTrustedDmaOff, Fact::kTdiStopped));
  EXPECT_EQ(guard.entry(kRid), std::nullopt);
  EXPECT_EQ(guest->bound_tdis, 0U);
  ASSERT_STATUS(drive(TioCommand::kTdiReclaim));
  EXPECT_THAT(facts(before),
              ElementsAre(Fact::kTrustedDmaOff, Fact::kTdiStopped, Fact::kMetadataRemoved));
  EXPECT_EQ(rmp.state(tdi_context.page()), PageState::kFirmware);
  ASSERT_STATUS(drive(TioCommand::kDevDisconnect));
  ASSERT_STATUS(drive(TioCommand::kDevReclaim));
  EXPECT_EQ(tio.devices() + tio.tdis(), 0U);
}

TEST_F(Life, AnUnbindThatTheDeviceRefusesIsForced) {
  up_to_running();
  device.refuse_all = true;
  EXPECT_STATUS(drive(TioCommand::kTdiUnbind), Status::kSpdmError);
  EXPECT_EQ(tdi_state(), 2U);
  TioOperands in = operands();
  in.flags = kForce;
  const std::size_t before = trace.events().size();
  EXPECT_STATUS(drive(TioCommand::kTdiUnbind, in), Status::kSuccess);
  EXPECT_EQ(tdi_state(), 0U);
  EXPECT_THAT(facts(before), ElementsAre(Fact::kTdiStopFailed)) << "nobody has stopped it";
}

TEST_F(Life, AForcedUnbindThatTheDeviceAnswersIsAStop) {
  up_to_running();
  TioOperands in = operands();
  in.flags = kForce;
  const std::size_t before = trace.events().size();
  EXPECT_STATUS(drive(TioCommand::kTdiUnbind, in), Status::kSuccess);
  EXPECT_THAT(facts(before), ElementsAre(Fact::kTdiStopped));
}

// AMDESE/linux-kvm drivers/crypto/ccp/sev-dev-tsm.c, tdi_unbind(): after TDI_UNBIND with FORCE
// comes TDI_STATUS, for the log, and TDI_RECLAIM. Nothing says STOP_INTERFACE once more.
TEST_F(Life, ADeviceThatAForcedUnbindHasLeftRunningIsToldNoMore) {
  up_to_running();
  device.refuse_all = true;
  TioOperands in = operands();
  in.flags = kForce;
  ASSERT_STATUS(drive(TioCommand::kTdiUnbind, in));
  EXPECT_EQ(device_state(), wire::TdiState::kRun);
  device.refuse_all = false;
  EXPECT_STATUS(drive(TioCommand::kTdiUnbind), Status::kInvalidTdiState);
  EXPECT_STATUS(drive(TioCommand::kTdiUnbind, in), Status::kInvalidTdiState);
  ASSERT_STATUS(drive(TioCommand::kTdiStatus));
  ASSERT_STATUS(drive(TioCommand::kTdiReclaim));
  EXPECT_EQ(device_state(), wire::TdiState::kRun);
}

TEST_F(Life, AForcedUnbindEndsACommandThatWaits) {
  up_to_running();
  EXPECT_STATUS(issue(TioCommand::kTdiStatus, operands()), Status::kSpdmRequest);
  EXPECT_STATUS(drive(TioCommand::kTdiUnbind), Status::kInUse);
  TioOperands in = operands();
  in.flags = kForce;
  EXPECT_STATUS(drive(TioCommand::kTdiUnbind, in), Status::kSuccess);
}

TEST_F(Life, ALockWhoseAnswerIsLostIsUnbound) {
  init();
  create();
  connect();
  guest = &make_guest(gctx = firmware_page(), kAsid, 1);
  create_tdi();
  relay = [this](ByteView object) {
    (void)device.answer(object);
    return Bytes{};
  };
  EXPECT_STATUS(drive(TioCommand::kTdiBind), Status::kSpdmError);
  EXPECT_EQ(device_state(), wire::TdiState::kConfigLocked);
  EXPECT_EQ(tdi_state(), 0U);
  EXPECT_EQ(guest->bound_tdis, 1U) << "it may be the guest's";
  relay = [this](ByteView object) { return device.answer(object); };
  EXPECT_STATUS(drive(TioCommand::kTdiBind), Status::kInvalidTdiState);
  ASSERT_STATUS(drive(TioCommand::kTdiUnbind));
  EXPECT_EQ(device_state(), wire::TdiState::kConfigUnlocked);
  bind();
}

TEST_F(Life, ARefusedLockLeavesTheTdiAsItWas) {
  init();
  create();
  connect();
  guest = &make_guest(gctx = firmware_page(), kAsid, 1);
  create_tdi();
  device.refuse_all = true;
  EXPECT_STATUS(drive(TioCommand::kTdiBind), Status::kSpdmError);
  EXPECT_EQ(guest->bound_tdis, 0U);
  device.refuse_all = false;
  bind();
}

TEST_F(Life, AConnectThatFailsCanBeTriedAgain) {
  init();
  create();
  device.kp_ack_status = 3;
  EXPECT_STATUS(drive(TioCommand::kDevConnect), Status::kSpdmError);
  device.kp_ack_status = 0;
  connect();
}

TEST_F(Life, KeysAreRolledToTheOtherSet) {
  up_to_running();
  ASSERT_TRUE(port.enable_stream(0));
  for (int n = 0; n < 3; ++n) ASSERT_STATUS(drive(TioCommand::kRollKey));
  EXPECT_EQ(port.stream_state(0), hw::IdeStreamState::kEnabled);
}

TEST_F(Life, DeviceStatusTellsWhatWaits) {
  up_to_bound();
  EXPECT_STATUS(issue(TioCommand::kTdiStatus, operands()), Status::kSpdmRequest);
  const Hpa page = firmware_page();
  TioOperands in = operands();
  in.status_page = page;
  ASSERT_STATUS(drive(TioCommand::kDevStatus, in));
  Bytes status(160);
  ASSERT_TRUE(memory.read(page, status));
  Reader reader(status);
  EXPECT_EQ(reader.le<std::uint32_t>(), 160U);
  EXPECT_EQ(reader.le<std::uint8_t>(), 2U) << "connected";
  reader.skip(1);
  EXPECT_EQ(reader.le<std::uint8_t>(), 3U) << "a request of a TDI";
  reader.skip(1);
  EXPECT_EQ(reader.le<std::uint16_t>(), kRid);
  reader.skip(2);
  EXPECT_EQ(reader.le<std::uint16_t>(), 0xdfU);
  reader.skip(2);
  EXPECT_EQ(reader.le<std::uint32_t>(), kRid);
  reader = Reader(ByteView(status).subspan(144));
  EXPECT_EQ(reader.le<std::uint32_t>(), 1U);
  EXPECT_EQ(reader.le<std::uint32_t>(), 1U);
}

// SEV_TIO_DEV_STATUS_P2_FLAG_NO_FW_UPDATE.
TEST_F(Life, DeviceStatusTellsThatATdiKeepsTheFirmware) {
  constexpr std::size_t kFlags = 28;
  constexpr std::byte kNoFirmwareUpdate{2};
  init();
  create();
  connect();
  guest = &make_guest(gctx = firmware_page(), kAsid, 1);
  create_tdi();
  const auto keeps = [&] {
    TioOperands in = operands();
    in.status_page = firmware_page();
    EXPECT_STATUS(drive(TioCommand::kDevStatus, in), Status::kSuccess);
    Bytes status(160);
    EXPECT_TRUE(memory.read(in.status_page, status));
    return (status.at(kFlags) & kNoFirmwareUpdate) != std::byte{0};
  };
  EXPECT_FALSE(keeps());
  TioOperands in = operands();
  in.lock_flags = 1;  // TIO_TDI_BIND_FLAG_NO_FW_UPDATE
  ASSERT_STATUS(drive(TioCommand::kTdiBind, in));
  EXPECT_TRUE(keeps());
  ASSERT_STATUS(drive(TioCommand::kTdiUnbind));
  EXPECT_FALSE(keeps());
}

TEST_F(Life, ShutdownForgetsContexts) {
  init();
  create();
  connect();
  create_tdi();
  ASSERT_STATUS(snp_shutdown());
  EXPECT_EQ(tio.devices() + tio.tdis(), 0U);
  EXPECT_EQ(rmp.state(tdi_context.page()), PageState::kFirmware);
}

// A key that is in use at the root port would be in the way of the next connect.
TEST_F(Life, ADeviceThatIsReclaimedWhileItConnectsLeavesNoKeyInUse) {
  init();
  create();
  int exchanges = 0;
  relay = [&](ByteView object) { return ++exchanges, device.answer(object); };
  connect();
  const int whole = exchanges;
  ASSERT_STATUS(drive(TioCommand::kDevDisconnect));
  ASSERT_STATUS(issue(TioCommand::kDevReclaim, operands()));
  create();
  TioOperands in = operands();
  for (exchanges = 0; exchanges < whole - 1;) {
    ASSERT_EQ(status_name(issue(TioCommand::kDevConnect, in)), status_name(Status::kSpdmRequest));
    carry(in.spdm);
  }
  ASSERT_STATUS(issue(TioCommand::kDevReclaim, operands()));
  create();
  connect();
}

TEST(ConversationTest, AnAnswerToNothingIsAnError) {
  const auto channel = spdm::make_requester({}, nullptr);
  const auto taken = Conversation().take(*channel, {});
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, Errno::kInval);
}

}  // namespace
}  // namespace teeio::sev
