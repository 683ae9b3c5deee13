// The monitor on authenticated sessions: evidence, and devices and hosts that lie.
#include <algorithm>

#include "crypto/identity.h"
#include "spdm/session_channel.h"
#include "unit/firmware/rmm/machine.h"

namespace teeio::rmm {
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
    relay = [this](ByteView object) { return peer->answer(object); };
  }
  void use(const crypto::Identity& identity) {
    credentials = spdm::FixedCredentials(identity);
    spdm::ResponderConfig config;
    config.settings.algorithms = spdm::Algorithms::p256();
    config.credentials = &credentials;
    config.measurements = &measurements;
    peer = std::make_unique<tdx::TestDevice>(spdm::make_session_responder(std::move(config)));
  }
  void SetUp() override { use(pki.device); }

  const crypto::Pki pki = crypto::make_device_identity(3, crypto::KeyType::kP256);
  spdm::FixedCredentials credentials;
  spdm::FixedMeasurements measurements{{{.index = 1, .type = 0, .value = Bytes(8)}}};
  std::unique_ptr<tdx::TestDevice> peer;
};

TEST_F(Sessions, AVdevIsStartedAndItsEvidenceHasTheNonce) {
  run();
  EXPECT_EQ(peer->tdis.at(0x100).state, wire::TdiState::kRun);
  const Bytes at_connect = rmm.cached_evidence(pdev);
  const std::array<std::byte, 32> nonce{std::byte{4}, std::byte{2}};
  ASSERT_RMI(rmm.vdev_get_measurements(rd, pdev, vdev, nonce));
  ASSERT_RMI(drive_vdev());
  EXPECT_EQ(vdev_state(), VdevState::kStarted);
  const Bytes evidence = rmm.cached_evidence(pdev);
  EXPECT_NE(evidence, at_connect);
  ASSERT_GT(evidence.size(), 48U);
  EXPECT_TRUE(std::ranges::equal(ByteView(evidence).subspan(16, 32), nonce));
}

TEST_F(Sessions, AKeyThatIsNotTheCertificatesLeavesThePdevInError) {
  const auto other = crypto::make_device_identity(4, crypto::KeyType::kP256);
  const crypto::Identity stolen{pki.device.chain, other.device.key};
  use(stolen);
  ASSERT_RMI(rmm.pdev_create(pdev, {.function = kTdi, .rid_base = 0x100, .rid_top = 0x102}));
  ASSERT_RMI(drive_pdev());
  EXPECT_EQ(pdev_state(), PdevState::kError);
  EXPECT_RMI(rmm.pdev_stream_connect(pdev, port.bdf(), 5), Code::kInput);
}

TEST_F(Sessions, ABentAnswerNeverStartsAVdev) {
  make_realm();
  connect();
  create_vdev();
  lock();
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
  make_realm();
  connect();
  create_vdev();
  peer->answers_for = 0x101;
  ASSERT_RMI(rmm.vdev_lock(rd, pdev, vdev));
  ASSERT_RMI(drive_vdev());
  EXPECT_EQ(vdev_state(), VdevState::kError);
}

}  // namespace
}  // namespace teeio::rmm
