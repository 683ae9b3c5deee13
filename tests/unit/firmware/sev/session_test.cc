// The firmware on authenticated sessions: evidence, and sessions that die.
#include <algorithm>

#include "crypto/hash.h"
#include "crypto/identity.h"
#include "firmware/sev/tio_checks.h"
#include "spdm/session_channel.h"
#include "unit/firmware/sev/machine.h"

namespace teeio::sev {
namespace {

spdm::ChannelSetup sessions() {
  spdm::ChannelSetup setup{.sessions = true, .settings = {}};
  setup.settings.algorithms = spdm::Algorithms::all();
  setup.settings.data_transfer_size = setup.settings.max_message_size = 0xf00;
  return setup;
}

class Sessions : public Machine {
 protected:
  Sessions() : Machine(sessions()) {
    credentials = spdm::FixedCredentials(pki.device);
    spdm::ResponderConfig config;
    config.settings.algorithms = spdm::Algorithms::p256();
    config.credentials = &credentials;
    config.measurements = &measurements;
    peer = std::make_unique<tdx::TestDevice>(spdm::make_session_responder(std::move(config)));
    carry_well();
  }
  void carry_well() {
    relay = [this](ByteView object) { return peer->answer(object); };
  }
  /// Kills the session: an answer that is not authentic.
  void kill() {
    relay = [this](ByteView object) {
      Bytes answer = peer->answer(object);
      for (std::byte& byte : std::span(answer).subspan(answer.size() - 16)) byte ^= std::byte{1};
      return answer;
    };
    EXPECT_STATUS(drive(TioCommand::kRollKey), Status::kErrorInDeviceConnection);
    carry_well();
  }
  DataObject output() { return *Buffer::open(memory, buffers.output)->object(); }
  static bool contains(ByteView data, ByteView part) {
    return !std::ranges::search(data, part).empty();
  }

  const crypto::Pki pki = crypto::make_device_identity(3, crypto::KeyType::kP256);
  spdm::FixedCredentials credentials;
  spdm::FixedMeasurements measurements{{{.index = 1, .type = 0, .value = Bytes(8)}}};
  std::unique_ptr<tdx::TestDevice> peer;
};

TEST_F(Sessions, ATdiRunsAndItsEvidenceIsWhatTheDeviceProved) {
  init();
  create();
  connect();
  const Bytes chain = output().data;
  EXPECT_TRUE(contains(chain, pki.device.chain.leaf().der())) << "the output of DEV_CONNECT";
  ASSERT_STATUS(drive(TioCommand::kDevCertificates));
  EXPECT_EQ(output().data, chain);
  TioOperands in = operands();
  in.nonce = {std::byte{4}, std::byte{2}};
  ASSERT_STATUS(drive(TioCommand::kDevMeasurements, in));
  EXPECT_TRUE(contains(output().data, in.nonce));
  guest = &make_guest(gctx = firmware_page(), kAsid, 1);
  create_tdi();
  bind();
  start();
  EXPECT_EQ(peer->tdis.at(kRid).state, wire::TdiState::kRun);
}

TEST_F(Sessions, TdiInfoHasTheDigestsOfWhatTheHostWasGiven) {
  up_to_bound();
  const Bytes report = output().data;
  const auto valid = [&] {
    const Bytes info = ask(TioMessage::kTdiInfoRequest, tdi_info_request());
    return std::to_integer<unsigned>(info.at(16));
  };
  EXPECT_EQ(valid(), 0U) << "not measured since the device is connected";
  ASSERT_STATUS(drive(TioCommand::kDevMeasurements));
  EXPECT_EQ(valid(), 3U) << "valid and fresh";
  const Bytes measured = output().data;
  ASSERT_STATUS(drive(TioCommand::kDevCertificates));
  const Bytes chain = output().data;
  const Bytes info = ask(TioMessage::kTdiInfoRequest, tdi_info_request());
  ASSERT_EQ(info.size(), 192U);
  Reader in(info);
  EXPECT_EQ(in.le<std::uint16_t>(), kGuestId);
  EXPECT_EQ(in.le<std::uint16_t>(), 0U);
  in.skip(20);
  EXPECT_EQ(in.le<std::uint64_t>(), std::uint64_t{1} << 16U) << "ECDSA P-256, SHA-256";
  const auto digest = [&](ByteView of) {
    return std::ranges::equal(in.take(48), crypto::hash(crypto::HashAlgorithm::kSha384, of).view());
  };
  EXPECT_TRUE(digest(chain));
  EXPECT_TRUE(digest(measured));
  EXPECT_TRUE(digest(report));
  EXPECT_EQ(in.le<std::uint64_t>(), 1U);
}

TEST_F(Sessions, EveryCommandThatNeedsASessionSaysWhenItIsGone) {
  constexpr TioCommand kNeedy[] = {TioCommand::kDevDisconnect,   TioCommand::kDevMeasurements,
                                   TioCommand::kDevCertificates, TioCommand::kTdiBind,
                                   TioCommand::kTdiUnbind,       TioCommand::kTdiReport,
                                   TioCommand::kTdiStatus,       TioCommand::kRollKey};
  up_to_bound();
  kill();
  for (const TioCommand command : kNeedy) {
    ASSERT_EQ(std::ranges::count(tio_checks(command), TioCheckId::kSession, &TioCheck::id), 1);
    TioOperands in = operands();
    if (command == TioCommand::kTdiBind) in.run_flags = kRunForce;
    if (command == TioCommand::kDevDisconnect) continue;  // has a bound TDI; see below
    EXPECT_STATUS(issue(command, in), Status::kErrorInDeviceConnection);
  }
  std::size_t rows = 0;
  for (std::uint16_t number = 0xd0; number <= 0xe4; ++number)
    rows += static_cast<std::size_t>(
        std::ranges::count(tio_checks(TioCommand{number}), TioCheckId::kSession, &TioCheck::id));
  EXPECT_EQ(rows, std::size(kNeedy));
  TioOperands forced = operands();
  forced.flags = kForce;
  EXPECT_STATUS(drive(TioCommand::kTdiUnbind, forced), Status::kSuccess);
  EXPECT_STATUS(issue(TioCommand::kDevDisconnect, operands()), Status::kErrorInDeviceConnection);
  EXPECT_STATUS(drive(TioCommand::kDevDisconnect, forced), Status::kSuccess);
  connect();
}

TEST_F(Sessions, ADeviceWhoseKeyIsNotItsCertificatesIsNotConnected) {
  const auto other = crypto::make_device_identity(4, crypto::KeyType::kP256);
  const crypto::Identity stolen{pki.device.chain, other.device.key};
  spdm::FixedCredentials wrong(stolen);
  spdm::ResponderConfig config;
  config.settings.algorithms = spdm::Algorithms::p256();
  config.credentials = &wrong;
  config.measurements = &measurements;
  peer = std::make_unique<tdx::TestDevice>(spdm::make_session_responder(std::move(config)));
  init();
  create();
  EXPECT_STATUS(drive(TioCommand::kDevConnect), Status::kErrorInDeviceConnection);
}

TEST_F(Sessions, ConnectSurvivesTheLossOfAnyOneAnswer) {
  init();
  create();
  for (int lost = 0; lost < 40; ++lost) {
    int seen = 0;
    relay = [&](ByteView object) { return seen++ == lost ? Bytes{} : peer->answer(object); };
    const Status status = drive(TioCommand::kDevConnect);
    if (status == Status::kSuccess) {
      EXPECT_GT(lost, 10);
      return;
    }
    carry_well();
    ASSERT_STATUS(drive(TioCommand::kDevConnect)) << lost;
    ASSERT_STATUS(drive(TioCommand::kDevDisconnect)) << lost;
  }
  FAIL() << "connecting never ends";
}

}  // namespace
}  // namespace teeio::sev
