// The monitor on authenticated sessions: keys, evidence, and devices and hosts that lie.
#include <algorithm>

#include "crypto/identity.h"
#include "spdm/session_channel.h"
#include "unit/firmware/rmm/machine.h"
#include "wire/spdm_capabilities.h"

namespace teeio::rmm {
namespace {

using Object = CommExit::Object;

spdm::ChannelSetup sessions() {
  spdm::ChannelSetup setup{.sessions = true, .settings = {}};
  setup.settings.algorithms = spdm::Algorithms::all();
  setup.settings.data_transfer_size = setup.settings.max_message_size = 0xf00;
  return setup;
}

class Sessions : public Machine {
 protected:
  explicit Sessions(Settings settings = {}) : Machine(sessions(), std::move(settings)) {
    relay = [this](ByteView object) { return peer->answer(object); };
  }
  void use(const crypto::Identity& identity) {
    credentials = spdm::FixedCredentials(identity);
    spdm::ResponderConfig config;
    config.settings.algorithms = spdm::Algorithms::p256();
    if (clear_handshake)
      config.settings.flags = spdm::default_responder_flags() | wire::kSpdmCapHandshakeInTheClear;
    config.credentials = &credentials;
    config.measurements = &measurements;
    peer = std::make_unique<tdx::TestDevice>(spdm::make_session_responder(std::move(config)));
  }
  void SetUp() override { use(pki.device); }
  Bytes& object(Object which) { return cached[static_cast<std::size_t>(which)]; }
  void measure(const std::array<std::byte, 32>& nonce) {
    object(Object::kMeasurements).clear();
    ASSERT_RMI(rmm.vdev_get_measurements(rd, pdev, vdev, page(MeasureParams{.nonce = nonce})));
    ASSERT_RMI(drive_vdev());
  }

  const crypto::Pki pki = crypto::make_device_identity(3, crypto::KeyType::kP256);
  spdm::FixedCredentials credentials;
  spdm::FixedMeasurements measurements{{{.index = 1, .type = 0, .value = Bytes(8)}}};
  std::unique_ptr<tdx::TestDevice> peer;
  bool clear_handshake = false;  ///< the device offers that
  static constexpr std::array<std::byte, 32> kNonce{std::byte{4}, std::byte{2}};
};

// DOE pads, and a host hands over what it read. The monitor's digests are of messages.
TEST_F(Sessions, PaddingBehindAnAnswerIsNoPartOfWhatIsKept) {
  identify();
  const Bytes plain = object(Object::kVca);
  ASSERT_FALSE(plain.empty());
  object(Object::kVca).clear();
  pdev = granule();
  use(pki.device);
  relay = [this](ByteView object) {
    const Bytes answer = peer->answer(object);
    const auto doe = wire::DoeObject::decode(answer);
    Bytes longer(doe->payload.begin(), doe->payload.end());
    const auto code = longer.size() > 1 ? std::to_integer<int>(longer[1]) : 0;
    constexpr int kVersion = 0x04, kCapabilities = 0x61, kAlgorithms = 0x63;
    if (code == kVersion || code == kCapabilities || code == kAlgorithms)
      longer.resize(longer.size() + 4);
    return wire::DoeObject{doe->vendor_id, doe->type, longer}.encode();
  };
  identify();
  EXPECT_EQ(object(Object::kVca), plain);
}

TEST_F(Sessions, TheHostHoldsWhatTheRealmsDigestsAreOf) {
  run();
  measure(kNonce);
  ASSERT_RMI(rmm.vdev_get_interface_report(rd, pdev, vdev));
  ASSERT_RMI(drive_vdev());
  EXPECT_EQ(vdev_state(), VdevState::kStarted);
  (void)nonces();
  const VdevInfo info = rmm.rsi_info(rec);
  const auto digest = [&](Object which) {
    const crypto::Digest d = crypto::hash(crypto::HashAlgorithm::kSha256, object(which));
    return Bytes(d.view().begin(), d.view().end());
  };
  EXPECT_EQ(info.vca, digest(Object::kVca));
  EXPECT_EQ(info.certificate, digest(Object::kCertificate));
  EXPECT_EQ(info.measurements, digest(Object::kMeasurements));
  EXPECT_EQ(info.report, digest(Object::kReport));
  EXPECT_EQ(object(Object::kReport), peer->report.encode());
  EXPECT_EQ(object(Object::kCertificate), pki.device.chain.der());
  EXPECT_EQ(info.state, 2);
}

TEST_F(Sessions, TheHostsNonceIsInTheRequest) {
  run();
  measure(kNonce);
  ASSERT_GT(object(Object::kMeasurements).size(), 37U);
  EXPECT_TRUE(std::ranges::equal(ByteView(object(Object::kMeasurements)).subspan(4, 32), kNonce));
}

TEST_F(Sessions, NoncesAreNewWithEveryRequest) {
  locked();
  const Nonces first = nonces();
  measure(kNonce);
  const Nonces second = nonces();
  EXPECT_EQ(first.lock, second.lock);
  EXPECT_NE(first.measurements, second.measurements);
  ASSERT_RMI(rmm.vdev_get_interface_report(rd, pdev, vdev));
  ASSERT_RMI(drive_vdev());
  EXPECT_NE(nonces().report, second.report);
}

TEST_F(Sessions, AKeyThatIsNotTheCertificatesLeavesThePdevInError) {
  const auto other = crypto::make_device_identity(4, crypto::KeyType::kP256);
  const crypto::Identity stolen{pki.device.chain, other.device.key};
  use(stolen);
  identify();
  ASSERT_RMI(rmm.pdev_set_pubkey(pdev, page(*device_key(object(Object::kCertificate)))));
  ASSERT_RMI(drive_pdev());
  EXPECT_EQ(pdev_state(), PdevState::kError);
}

TEST_F(Sessions, AKeyThatTheHostMadeUpOpensNoSession) {
  identify();
  ASSERT_RMI(rmm.pdev_set_pubkey(pdev, page(any_key())));
  ASSERT_RMI(drive_pdev());
  EXPECT_EQ(pdev_state(), PdevState::kError);
}

TEST_F(Sessions, ABentAnswerNeverStartsAVdev) {
  locked();
  relay = [this](ByteView object) {
    Bytes answer = peer->answer(object);
    answer.at(answer.size() - 9) ^= std::byte{1};
    return answer;
  };
  ASSERT_RMI(rmm.vdev_start(rd, pdev, vdev));
  ASSERT_RMI(drive_vdev());
  EXPECT_EQ(vdev_state(), VdevState::kError);
}

TEST_F(Sessions, AnAnswerOfAnotherFunctionNeverLocks) {
  unlocked();
  peer->answers_for = 0x101;
  ASSERT_RMI(rmm.vdev_lock(rd, pdev, vdev));
  ASSERT_RMI(drive_vdev());
  EXPECT_EQ(vdev_state(), VdevState::kError);
}

// dev_tdisp_stop_main(): a STOP that fails counts as done.
TEST_F(Sessions, AVdevGoesWithoutASession) {
  locked();
  relay = [this](ByteView object) {
    Bytes answer = peer->answer(object);
    answer.at(answer.size() - 9) ^= std::byte{1};
    return answer;
  };
  ASSERT_RMI(rmm.vdev_unlock(rd, pdev, vdev));
  ASSERT_RMI(drive_vdev());
  EXPECT_EQ(vdev_state(), VdevState::kUnlocked) << "the answer to STOP is bent";
  ASSERT_RMI(rmm.vdev_lock(rd, pdev, vdev));
  ASSERT_RMI(drive_vdev());
  ASSERT_EQ(vdev_state(), VdevState::kError) << "the session is gone";
  ASSERT_RMI(rmm.vdev_abort(rd, pdev, vdev));
  std::size_t objects = 0;
  relay = [&](ByteView) { return ++objects, Bytes{}; };
  ASSERT_RMI(rmm.vdev_unlock(rd, pdev, vdev));
  ASSERT_RMI(drive_vdev());
  EXPECT_EQ(vdev_state(), VdevState::kUnlocked) << "no STOP can be sent";
  EXPECT_EQ(objects, 0U);
  ASSERT_RMI(rmm.vdev_destroy(rd, pdev, vdev));
}

// dev_assign_cmd_stop_connection_main(): END_SESSION is an error of STOP's.
TEST_F(Sessions, AStopWhoseSessionDoesNotEndLeavesThePdevInError) {
  open();
  ASSERT_RMI(rmm.pdev_stop(pdev));
  ASSERT_RMI(drive_pdev(true));
  EXPECT_EQ(pdev_state(), PdevState::kError);
  ASSERT_RMI(rmm.pdev_abort(pdev));
  EXPECT_RMI(rmm.pdev_destroy(pdev), Code::kDevice);
}

// libspdm_stop_session() takes an END_SESSION_ACK of the session, and nothing else.
TEST_F(Sessions, AStopWithAnotherAnswerLeavesThePdevInError) {
  open();
  relay = [this](ByteView object) {
    Bytes answer = peer->answer(object);
    answer.at(answer.size() - 9) ^= std::byte{1};
    return answer;
  };
  ASSERT_RMI(rmm.pdev_stop(pdev));
  ASSERT_RMI(drive_pdev());
  EXPECT_EQ(pdev_state(), PdevState::kError);
  EXPECT_RMI(rmm.pdev_destroy(pdev), Code::kDevice);
}

TEST_F(Sessions, AStopIsInOrderWithTheAnswerToEndSession) {
  open();
  ASSERT_RMI(rmm.pdev_stop(pdev));
  ASSERT_RMI(drive_pdev());
  EXPECT_EQ(pdev_state(), PdevState::kStopped);
}

TEST_F(Sessions, KeysAreRefreshedInTheOtherSet) {
  connect();
  ASSERT_RMI(rmm.pdev_stream_key_refresh(pdev, rp, handle));
  const std::size_t before = trace.events().size();
  drive_stream();
  ASSERT_RMI(rmm.pdev_stream_complete(pdev, rp, handle));
  std::size_t keys = 0;
  for (std::size_t i = before; i < trace.events().size(); ++i)
    if (trace.events()[i].fact == object::Fact::kKeyUsed) {
      ++keys;
      EXPECT_NE(trace.events()[i].detail.find("set=1"), std::string::npos);
    }
  EXPECT_EQ(keys, 6U);
}

class DefectiveSessions : public Sessions {
 protected:
  DefectiveSessions() : Sessions(Settings{.defects = Defects::kAs9a7f8ef4}) {
    clear_handshake = true;
  }
};

// spdm_transport_decode_secured_message() against info->session_id: docs/tf-rmm.md.
TEST_F(DefectiveSessions, AHandshakeInsideOfItsSessionIsNoSession) {
  clear_handshake = false;
  use(pki.device);
  identify();
  const Bytes& chain = object(Object::kCertificate);
  ASSERT_RMI(rmm.pdev_set_pubkey(pdev, page(*device_key(chain))));
  ASSERT_RMI(drive_pdev());
  EXPECT_EQ(pdev_state(), PdevState::kError);
}

TEST_F(DefectiveSessions, AHandshakeInTheClearIsOne) {
  open();
  EXPECT_EQ(pdev_state(), PdevState::kReady);
}

// CMA_SPDM_GET_CAPABILITIES_REQUEST_FLAGS.
TEST_F(Sessions, AHandshakeIsInTheClearWithADeviceThatOffersIt) {
  clear_handshake = true;
  use(pki.device);
  bool finished = false;
  relay = [&](ByteView object) {
    const auto doe = wire::DoeObject::decode(object);
    constexpr std::byte kFinish{0xe5};
    finished = finished || (doe->type == std::to_underlying(wire::DoeType::kSpdm) &&
                            doe->payload.size() > 1 && doe->payload[1] == kFinish);
    return peer->answer(object);
  };
  open();
  EXPECT_EQ(pdev_state(), PdevState::kReady);
  EXPECT_TRUE(finished);
}

// dev_assign_cmds.c, get_measurements(): smc_vdev_get_measurements() has zeroed the nonce.
TEST_F(DefectiveSessions, TheHostsNonceIsDropped) {
  unlocked();
  measure(kNonce);
  const std::array<std::byte, 32> zeros{};
  ASSERT_GT(object(Object::kMeasurements).size(), 37U);
  EXPECT_TRUE(std::ranges::equal(ByteView(object(Object::kMeasurements)).subspan(4, 32), zeros));
}

}  // namespace
}  // namespace teeio::rmm
