// The module on authenticated sessions: evidence, and devices and hosts that lie.
#include <algorithm>

#include "crypto/identity.h"
#include "spdm/session_channel.h"
#include "unit/firmware/tdx/machine.h"
#include "wire/doe.h"

namespace teeio::tdx {
namespace {

spdm::ChannelSetup sessions() {
  spdm::ChannelSetup setup{.sessions = true};
  setup.settings.algorithms = spdm::Algorithms::all();
  setup.settings.data_transfer_size = setup.settings.max_message_size = 0xf00;
  return setup;
}

const crypto::Pki& pki(std::uint64_t seed) {
  static std::map<std::uint64_t, crypto::Pki> made;
  auto at = made.find(seed);
  if (at == made.end())
    at = made.emplace(seed, crypto::make_device_identity(seed, crypto::KeyType::kP256)).first;
  return at->second;
}

spdm::ResponderConfig responder(spdm::Credentials& credentials) {
  static spdm::FixedMeasurements measurements({{.index = 1, .type = 0, .value = Bytes(8)}});
  spdm::ResponderConfig config;
  config.settings.algorithms = spdm::Algorithms::p256();
  config.credentials = &credentials;
  config.measurements = &measurements;
  return config;
}

class Sessions : public Machine {
 protected:
  Sessions() : Machine(sessions()) {
    relay = [this](ByteView object) { return peer->answer(object); };
  }
  void use_device(spdm::ResponderConfig config) {
    peer = std::make_unique<TestDevice>(spdm::make_session_responder(std::move(config)));
  }

  /// CONNECT as a host does it; gives the last status. Bounded.
  LeafResult try_connect() {
    LeafResult r = module.tdh_spdm_connect(kIommu, kSession, message);
    for (int steps = 0; steps < 100 && r.ok() && r.message_bytes() != 0; ++steps) {
      carry();
      r = module.tdh_spdm_connect(kIommu, kSession, message);
    }
    return r;
  }
  void expect_unconnected() {
    setup_iommu();
    ASSERT_OK(module.tdh_spdm_create(kIommu, kSession, page()));
    EXPECT_CODE(try_connect(), Code::kSpdmInvalidState);
    EXPECT_CODE(module.tdh_ide_stream_create(kIommu, kSession, stream_config(), page()),
                Code::kSpdmInvalidState);
  }
  /// Up to the answer to LOCK, through `bent`.
  void bind_until_lock() {
    connect();
    devifmt_tables();
    ASSERT_OK(create_devif(td));
  }

  spdm::FixedCredentials credentials{pki(1).device};
  std::unique_ptr<TestDevice> peer =
      std::make_unique<TestDevice>(spdm::make_session_responder(responder(credentials)));
  TestTd td = running_td();
};

Bytes without_tail(ByteView object, std::size_t words) {
  const auto doe = wire::DoeObject::decode(object);
  const std::size_t keep = doe->payload.size() - std::min(doe->payload.size(), 4 * words);
  return wire::DoeObject{doe->vendor_id, doe->type, doe->payload.first(keep)}.encode();
}

TEST_F(Sessions, ConnectGivesTheDigestOfTheEvidence) {
  setup_iommu();
  connect_spdm();
  const LeafResult info = module.tdh_spdm_info(kIommu, kSession, 0, message);
  ASSERT_OK(info);
  Bytes evidence(info.message_bytes());
  ASSERT_EQ(evidence.size(), info.rdx);
  ASSERT_TRUE(memory.read(message, evidence));
  const crypto::Digest digest = crypto::hash(crypto::HashAlgorithm::kSha384, evidence);
  EXPECT_EQ(Reader(digest.view()).le<std::uint64_t>(), info_hash[0]);
  EXPECT_CODE(module.tdh_spdm_info(kIommu, kSession, 0x10000, message), Code::kOperandInvalid);
}

TEST_F(Sessions, RecollectionHasTheNonceAndChangesTheDigest) {
  setup_iommu();
  connect_spdm();
  const std::array<std::byte, 32> nonce{std::byte{9}, std::byte{8}, std::byte{7}};
  LeafResult r = module.tdh_spdm_recollect(kIommu, kSession, nonce, message);
  while (r.ok() && r.message_bytes() != 0) {
    carry();
    r = module.tdh_spdm_recollect(kIommu, kSession, nonce, message);
  }
  ASSERT_OK(r);
  EXPECT_NE(r.rdx, info_hash[0]);
  ASSERT_OK(module.tdh_spdm_info(kIommu, kSession, 0, message));
  Bytes head(48);
  ASSERT_TRUE(memory.read(message, head));
  EXPECT_TRUE(std::ranges::equal(ByteView(head).subspan(16), nonce));
}

TEST_F(Sessions, ATdiRunsAndItsSessionEndsInGoodOrder) {
  connect();
  bind(td);
  // The peer's functions are those of `device` in the fixture: one more of its kind.
  device.tdis = peer->tdis;
  validate(td);
  ASSERT_OK(guest_tdisp(td, DevifRequest::kReport));
  accept(td);
  ASSERT_OK(guest_tdisp(td, DevifRequest::kStart));
  EXPECT_EQ(peer->tdis.at(0x0100).state, wire::TdiState::kRun);
}

TEST_F(Sessions, DisconnectTellsTheDevice) {
  setup_iommu();
  connect_spdm();
  LeafResult r = module.tdh_spdm_disconnect(kIommu, kSession, message);
  ASSERT_OK(r);
  EXPECT_NE(r.message_bytes(), 0U);
  carry();
  r = module.tdh_spdm_disconnect(kIommu, kSession, message);
  ASSERT_OK(r);
  EXPECT_EQ(r.message_bytes(), 0U);
  ASSERT_OK(try_connect());
}

TEST_F(Sessions, ADeviceThatNeedsTimeIsWaitedFor) {
  spdm::ResponderConfig slow = responder(credentials);
  slow.defer_signatures = true;  // ResponseNotReady, then RESPOND_IF_READY
  use_device(std::move(slow));
  setup_iommu();
  connect_spdm();
}

// --- Hostile devices ---

TEST_F(Sessions, ShortAnswersNeverConnect) {
  setup_iommu();
  ASSERT_OK(module.tdh_spdm_create(kIommu, kSession, page()));
  for (const std::size_t words : {1U, 2U, 8U, 64U})
    for (int victim = 0; victim < 9; ++victim) {
      int step = 0;
      relay = [&](ByteView object) {
        Bytes answer = peer->answer(object);
        return step++ == victim ? without_tail(answer, words) : answer;
      };
      const LeafResult r = try_connect();
      // Only padding or a part that the message can miss was cut.
      if (r.ok()) ASSERT_OK(module.tdh_spdm_disconnect(kIommu, kSession));
    }
  relay = [&](ByteView object) { return without_tail(peer->answer(object), 64); };
  EXPECT_CODE(try_connect(), Code::kSpdmInvalidState);
}

TEST_F(Sessions, AKeyThatIsNotTheCertificatesIsRefused) {
  const crypto::Identity stolen{pki(1).device.chain, pki(2).device.key};
  spdm::FixedCredentials liar(stolen);
  use_device(responder(liar));
  expect_unconnected();
}

TEST_F(Sessions, AnEndlessNotReadyEnds) {
  int asked = 0;
  relay = [&](ByteView object) {
    if (++asked < 4) return peer->answer(object);
    // ERROR, ResponseNotReady: in 2 µs, for the request 0x82, token 1.
    Bytes error{std::byte{0x12}, std::byte{0x7f}, std::byte{0x42}, std::byte{0},
                std::byte{1},    std::byte{0x82}, std::byte{1},    std::byte{2}};
    if (object.size() > 9) error[5] = object[9] == std::byte{0xff} ? std::byte{0x82} : object[9];
    return wire::DoeObject{wire::kPciSigVendorId, 1, error}.encode();
  };
  expect_unconnected();
  EXPECT_LT(asked, 32);
}

TEST_F(Sessions, ACertificateThatChangesBetweenReadsIsRefused) {
  // A device that is one card while its certificate is read, and another after.
  spdm::FixedCredentials other(pki(2).device);
  TestDevice second(spdm::make_session_responder(responder(other)));
  relay = [&](ByteView object) {
    Bytes from_first = peer->answer(object);
    Bytes from_second = second.answer(object);
    const bool reads = object.size() > 9 && object[9] == std::byte{0x82};
    return reads ? from_second : from_first;
  };
  expect_unconnected();
}

TEST_F(Sessions, AHandshakeOfAnotherDayIsRefused) {
  setup_iommu();
  ASSERT_OK(module.tdh_spdm_create(kIommu, kSession, page()));
  std::vector<Bytes> recorded;
  relay = [&](ByteView object) {
    recorded.push_back(peer->answer(object));
    return recorded.back();
  };
  ASSERT_OK(try_connect());
  ASSERT_OK(module.tdh_spdm_disconnect(kIommu, kSession));
  std::size_t next = 0;
  relay = [&](ByteView) { return recorded.at(std::min(next++, recorded.size() - 1)); };
  EXPECT_CODE(try_connect(), Code::kSpdmInvalidState);
}

TEST_F(Sessions, AnAnswerOfAnotherTdiMovesNothing) {
  bind_until_lock();
  peer->answers_for = 0x0101;
  EXPECT_CODE(tdisp(DevifRequest::kLock), Code::kTdispInvalidMessage);
  // The answer is used up and the request stays: STOP has no way past it.
  peer->answers_for = 0;
  EXPECT_CODE(tdisp(DevifRequest::kStop), Code::kTdispOutReq);
  EXPECT_CODE(module.tdh_devif_remove(kFunction), Code::kSuccess);
}

TEST_F(Sessions, ARefusingDeviceNeverRuns) {
  bind_until_lock();
  peer->refuse_all = true;
  const LeafResult locked = tdisp(DevifRequest::kLock);
  ASSERT_OK(locked);
  EXPECT_EQ(locked.message_code(), 0x7f);
  validate(td);
  inside(td,
         [&] { EXPECT_CODE(module.tdg_dmar_accept(td.vp, kFunction), Code::kTdispInvalidState); });
}

// --- A host that carries wrongly ---

// aead.c, tdx_io_aead_decrypt(): neither the session nor its sequence numbers move.
TEST_F(Sessions, TheRightAnswerIsTakenBehindABentOne) {
  bind_until_lock();
  const auto honest = relay;
  Bytes right;
  relay = [&](ByteView object) {
    Bytes answer = right = honest(object);
    answer.at(answer.size() - 9) ^= std::byte{4};
    return answer;
  };
  const LeafResult refused = tdisp(DevifRequest::kLock);
  EXPECT_CODE(refused, Code::kSpdmInvalidMessage);
  EXPECT_EQ(refused.status.rax(), 0xC0000F4E'00000002U);
  EXPECT_CODE(tdisp(DevifRequest::kLock), Code::kTdispOutReq);
  ASSERT_TRUE(memory.write(message, right));
  EXPECT_OK(module.tdh_devif_response(kFunction, OnBehalfOf::kVmm, message));
  EXPECT_CODE(module.tdh_devif_response(kFunction, OnBehalfOf::kVmm, message), Code::kTdispOutReq);
  relay = honest;
  EXPECT_OK(tdisp(DevifRequest::kStop));
}

TEST_F(Sessions, BehindABentAnswerTheStreamCanBeTakenDown) {
  bind_until_lock();
  const auto honest = relay;
  relay = [&](ByteView object) {
    Bytes answer = honest(object);
    answer.at(answer.size() - 9) ^= std::byte{4};
    return answer;
  };
  EXPECT_CODE(tdisp(DevifRequest::kLock), Code::kSpdmInvalidMessage);
  relay = honest;
  ASSERT_OK(module.tdh_ide_stream_block(kIommu, kStream));
  ASSERT_OK(module.tdh_devif_remove(kFunction));
  ASSERT_OK(module.tdh_ide_stream_delete(kIommu, kStream));
  ASSERT_OK(module.tdh_spdm_disconnect(kIommu, kSession, message));
}

TEST_F(Sessions, ARepeatedAnswerIsNotTakenTwice) {
  bind_until_lock();
  Bytes old;
  const auto honest = relay;
  relay = [&](ByteView object) { return old = honest(object); };
  ASSERT_OK(tdisp(DevifRequest::kState));
  relay = [&](ByteView object) {
    (void)honest(object);
    return old;
  };
  EXPECT_CODE(tdisp(DevifRequest::kState), Code::kSpdmInvalidMessage);
}

}  // namespace
}  // namespace teeio::tdx
