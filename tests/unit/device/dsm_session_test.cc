// The DSM behind an authenticated session, and a host in the middle that does what
// it likes with the objects it carries.
#include <functional>

#include "crypto/certificate.h"
#include "crypto/signature.h"
#include "dsm_fixture.h"
#include "spdm/channel_setup.h"
#include "spdm/session_channel.h"

namespace teeio::device::testing {
namespace {

DsmSpdm p256_sessions() {
  DsmSpdm spdm;
  spdm.sessions = true;
  spdm.key_type = crypto::KeyType::kP256;
  spdm.settings.algorithms = spdm::Algorithms::p256();
  spdm.seed = 11;
  spdm.hardware = Bytes(4, std::byte{0x77});
  return spdm;
}

class DsmSession : public ::testing::Test {
 protected:
  static constexpr Bdf kPf{0, 1, 0, 0};
  static constexpr std::uint8_t kStream = 3;
  using Relay = std::function<Bytes(ByteView object)>;

  DsmSession() {
    trace.keep_events(true);
    dsm.add(tdi);
    set(0x0c, 0x0800);  // association, then ID
    set(0x10, 0x0801);
    set(0x04, unsigned{kStream} << 24U | 1U);
  }

  static std::unique_ptr<spdm::RequesterChannel> make_firmware(bool patient = false) {
    spdm::ChannelSetup setup{.sessions = true, .patient = patient};
    setup.settings.algorithms = spdm::Algorithms::all();
    return spdm::make_requester(setup, nullptr);
  }
  void set(unsigned reg, std::uint32_t value) {
    const auto at = static_cast<std::uint16_t>(0x10c + reg);
    config.write(at, 4, value);
    dsm.config_written(at);
  }
  Result<void> connect(spdm::RequesterChannel& channel, const Relay& relay) {
    for (int steps = 0; steps < 64; ++steps) {
      const auto object = channel.connect_request();
      if (!object) return {};
      TEEIO_TRY(channel.connect_response(relay(*object)));
    }
    return fail(Errno::kTimedOut, "connecting never ends");
  }
  void connect() { ASSERT_TRUE(connect(*firmware, honest)); }

  Result<Bytes> send(wire::Protocol protocol, ByteView message, const Relay& relay) {
    TEEIO_ASSIGN(const Bytes object, firmware->seal(protocol, message));
    return firmware->open(protocol, relay(object));
  }
  Result<Bytes> tdisp(const wire::TdispBody& request) { return tdisp(request, honest); }
  Result<Bytes> tdisp(const wire::TdispBody& request, const Relay& relay) {
    return send(wire::Protocol::kTdisp,
                wire::encode_tdisp({wire::TdispFunctionId::of(kPf), request}), relay);
  }
  void bring_up_stream() {
    for (const auto direction : {wire::IdeDirection::kRx, wire::IdeDirection::kTx})
      for (unsigned sub = 0; sub < 3; ++sub) {
        const auto selector =
            wire::IdeKeySelector::make(0, direction, static_cast<wire::IdeSubStream>(sub));
        ASSERT_TRUE(send(
            wire::Protocol::kIdeKm,
            wire::encode_ide_km(wire::IdeKmKeyProg{kStream, selector, 0, wire::IdeKey{}}), honest));
        ASSERT_TRUE(send(wire::Protocol::kIdeKm,
                         wire::encode_ide_km(wire::IdeKmKSetGo{kStream, selector, 0}), honest));
      }
  }
  void run() {
    connect();
    bring_up_stream();
    const auto locked =
        wire::decode_tdisp(tdisp(wire::TdispLockInterface{0, kStream, 0, 0}).value());
    const auto nonce = std::get<wire::TdispLockInterfaceResponse>(locked->body).nonce;
    ASSERT_TRUE(tdisp(wire::TdispStartInterface{nonce}));
    ASSERT_EQ(tdi.state(), TdiState::kRun);
  }
  bool traced(std::string_view name) {
    return std::ranges::find(trace.events(), name, &object::Event::name) != trace.events().end();
  }

  object::Trace trace;
  hw::ConfigSpace config;
  FakeFunction function;
  Tdi tdi{trace, kPf, function};
  Dsm dsm{trace, kPf, config, 2, p256_sessions()};
  const Relay honest = [this](ByteView object) { return dsm.answer(object); };
  std::unique_ptr<spdm::RequesterChannel> firmware = make_firmware();
};

TEST_F(DsmSession, ATdiIsLockedAndStartedInsideASession) {
  run();
  for (const std::string_view name :
       {"GET_VERSION", "GET_CAPABILITIES", "NEGOTIATE_ALGORITHMS", "GET_CERTIFICATE",
        "KEY_EXCHANGE", "FINISH", "GET_MEASUREMENTS", "KEY_PROG", "K_SET_GO", "LOCK_INTERFACE",
        "START_INTERFACE"})
    EXPECT_TRUE(traced(name)) << name;
}

// A firmware as the TDX module is: records are opened, or not, and nothing else happens.
class PatientFirmware : public DsmSession {
 protected:
  PatientFirmware() { firmware = make_firmware(true); }
  void SetUp() override { connect(); }
  static Bytes get_version() {
    return wire::encode_tdisp({wire::TdispFunctionId::of(kPf), wire::TdispGetVersion{}});
  }
  Result<Bytes> open(ByteView object) { return firmware->open(wire::Protocol::kTdisp, object); }
};

TEST_F(PatientFirmware, TakesTheRightAnswerBehindABentOne) {
  const Bytes answer = honest(*firmware->seal(wire::Protocol::kTdisp, get_version()));
  Bytes bent = answer;
  bent.at(bent.size() - 9) ^= std::byte{4};
  EXPECT_EQ(open(bent).error().code, Errno::kAcces);
  EXPECT_EQ(open({}).error().code, Errno::kAcces);
  EXPECT_TRUE(open(answer));
  EXPECT_EQ(open(answer).error().code, Errno::kAcces) << "it is used up";
  EXPECT_TRUE(tdisp(wire::TdispGetVersion{}));
}

TEST_F(PatientFirmware, LetsMessagesWaitTogether) {
  const Bytes first = honest(*firmware->seal(wire::Protocol::kTdisp, get_version()));
  const Bytes second = honest(*firmware->seal(wire::Protocol::kTdisp, get_version()));
  EXPECT_EQ(open(second).error().code, Errno::kAcces) << "answers come in order";
  EXPECT_TRUE(open(first));
  EXPECT_TRUE(open(second));
}

TEST_F(PatientFirmware, TakesAnAuthenticAnswerOfAnotherProtocolForUsed) {
  const Bytes answer = honest(*firmware->seal(wire::Protocol::kTdisp, get_version()));
  EXPECT_EQ(firmware->open(wire::Protocol::kIdeKm, answer).error().code, Errno::kInval);
  EXPECT_EQ(open(answer).error().code, Errno::kAcces);
  EXPECT_TRUE(tdisp(wire::TdispGetVersion{}));
}

TEST_F(DsmSession, DiscoveryListsSecuredMessages) {
  const Bytes request = wire::DoeDiscoveryRequest{2}.encode();
  const Bytes answer = dsm.answer(wire::DoeObject{1, 0, request}.encode());
  const auto found = wire::DoeDiscoveryResponse::decode(wire::DoeObject::decode(answer)->payload);
  EXPECT_EQ(found->type, 2);
  EXPECT_EQ(found->next_index, 0);
}

TEST_F(DsmSession, NothingIsAnsweredInTheClear) {
  const auto plain = spdm::make_plain_requester();
  while (const auto object = plain->connect_request())
    if (!plain->connect_response(dsm.answer(*object))) break;
  ASSERT_TRUE(plain->connected());
  const Bytes stop =
      wire::encode_tdisp({wire::TdispFunctionId::of(kPf), wire::TdispStopInterface{}});
  const auto answer = plain->open(wire::Protocol::kTdisp,
                                  dsm.answer(plain->seal(wire::Protocol::kTdisp, stop).value()));
  EXPECT_FALSE(answer);
  EXPECT_FALSE(traced("STOP_INTERFACE"));
}

TEST_F(DsmSession, EndingTheSessionIsAnErrorOfTheTdiAndOfTheStream) {
  run();
  while (const auto object = firmware->disconnect_request())
    EXPECT_TRUE(firmware->disconnect_response(dsm.answer(*object)).has_value());
  EXPECT_EQ(tdi.state(), TdiState::kError);
  EXPECT_FALSE(firmware->connected());
  // A new session stops it, and must program the keys anew.
  connect();
  ASSERT_TRUE(tdisp(wire::TdispStopInterface{}));
  EXPECT_EQ(tdi.state(), TdiState::kConfigUnlocked);
  const auto refused =
      wire::decode_tdisp(tdisp(wire::TdispLockInterface{0, kStream, 0, 0}).value());
  EXPECT_TRUE(std::holds_alternative<wire::TdispErrorResponse>(refused->body));
  bring_up_stream();
  tdisp(wire::TdispLockInterface{0, kStream, 0, 0}).value();
  EXPECT_EQ(tdi.state(), TdiState::kConfigLocked);
}

TEST_F(DsmSession, AHostThatBeginsAnewGainsNothing) {
  run();
  const auto other = make_firmware();
  (void)connect(*other, honest);
  EXPECT_NE(tdi.state(), TdiState::kRun);
  EXPECT_NE(tdi.state(), TdiState::kConfigUnlocked);
}

TEST_F(DsmSession, EvidenceIsSignedByTheChainsLeaf) {
  connect();
  const std::array<std::byte, 32> nonce{std::byte{5}, std::byte{6}};
  while (const auto object = firmware->measure_request(nonce))
    ASSERT_TRUE(firmware->measure_response(dsm.answer(*object)));
  const spdm::Evidence& evidence = *firmware->evidence();
  EXPECT_EQ(evidence.nonce, nonce);
  const auto chain =
      crypto::SpdmCertificateChain::parse(evidence.chain, crypto::HashAlgorithm::kSha256);
  ASSERT_TRUE(chain);
  const crypto::TrustAnchors anchors(std::array{chain->chain.first()});
  EXPECT_TRUE(chain->chain.verify(anchors));
  const auto has = [&](ByteView part) {
    return !std::ranges::search(evidence.transcript, part).empty();
  };
  EXPECT_TRUE(has(nonce));
  EXPECT_TRUE(has(evidence.record));
  EXPECT_TRUE(has(Bytes(4, std::byte{0x77})));  // the hardware block, raw
  EXPECT_EQ(evidence.signature.size(), 64U);
  const Bytes encoded = spdm::encode_evidence(evidence);
  EXPECT_EQ(encoded.size(), 48 + evidence.chain.size() + evidence.transcript.size() + 64);
}

TEST_F(DsmSession, MeasurementsShowTheStateOfInterfaces) {
  connect();
  const Bytes before = firmware->evidence()->record;
  bring_up_stream();
  ASSERT_TRUE(tdisp(wire::TdispLockInterface{0, kStream, 0, 0}));
  while (const auto object = firmware->measure_request({}))
    ASSERT_TRUE(firmware->measure_response(dsm.answer(*object)));
  EXPECT_NE(firmware->evidence()->record, before);
}

// --- A host that does not carry honestly ---

TEST_F(DsmSession, AFlippedBitGoesNoFurtherThanTheSession) {
  run();
  const Relay flip = [this](ByteView object) {
    Bytes bent(object.begin(), object.end());
    bent.at(bent.size() - 9) ^= std::byte{1};
    return dsm.answer(bent);
  };
  EXPECT_FALSE(tdisp(wire::TdispStopInterface{}, flip));
  EXPECT_FALSE(traced("STOP_INTERFACE"));
  EXPECT_EQ(tdi.state(), TdiState::kError);  // the session is gone, and with it the lock
}

TEST_F(DsmSession, AnAnswerWithAFlippedBitIsNotTaken) {
  run();
  const Relay flip = [this](ByteView object) {
    Bytes answer = dsm.answer(object);
    answer.at(answer.size() - 9) ^= std::byte{1};
    return answer;
  };
  EXPECT_FALSE(tdisp(wire::TdispGetInterfaceState{}, flip));
  EXPECT_FALSE(firmware->connected());
  EXPECT_EQ(firmware->seal(wire::Protocol::kTdisp, Bytes(16)).error().code, Errno::kNxio);
}

TEST_F(DsmSession, ARepeatedRequestIsNotCarriedOutTwice) {
  run();
  const auto request = firmware->seal(
      wire::Protocol::kTdisp,
      wire::encode_tdisp({wire::TdispFunctionId::of(kPf), wire::TdispGetInterfaceState{}}));
  (void)dsm.answer(*request);
  const auto count = [this] {
    return std::ranges::count(trace.events(), std::string_view("GET_DEVICE_INTERFACE_STATE"),
                              &object::Event::name);
  };
  ASSERT_EQ(count(), 1);
  (void)dsm.answer(*request);
  EXPECT_EQ(count(), 1);
}

TEST_F(DsmSession, AnOldAnswerIsNotTakenForANewOne) {
  run();
  Bytes old;
  ASSERT_TRUE(tdisp(wire::TdispGetInterfaceState{}, [&](ByteView object) {
    old = dsm.answer(object);
    return old;
  }));
  EXPECT_FALSE(tdisp(wire::TdispGetInterfaceState{}, [&](ByteView object) {
    (void)dsm.answer(object);
    return old;
  }));
}

TEST_F(DsmSession, ADroppedRequestMayBeCarriedLater) {
  run();
  const Bytes message =
      wire::encode_tdisp({wire::TdispFunctionId::of(kPf), wire::TdispGetInterfaceState{}});
  const Bytes object = firmware->seal(wire::Protocol::kTdisp, message).value();
  EXPECT_EQ(firmware->seal(wire::Protocol::kTdisp, message).error().code, Errno::kBusy);
  EXPECT_TRUE(firmware->open(wire::Protocol::kTdisp, dsm.answer(object)));
}

TEST_F(DsmSession, MessagesOfTwoSessionsAreNotSwapped) {
  run();
  object::Trace other_trace;
  hw::ConfigSpace other_config;
  Dsm other{other_trace, kPf, other_config, 2, p256_sessions()};
  const auto other_firmware = make_firmware();
  ASSERT_TRUE(connect(*other_firmware, [&](ByteView object) { return other.answer(object); }));
  EXPECT_FALSE(
      tdisp(wire::TdispGetInterfaceState{}, [&](ByteView object) { return other.answer(object); }));
}

// Every step of connecting, with one bit of the answer changed or no answer at all.
TEST_F(DsmSession, AChangedHandshakeNeverConnects) {
  int steps = 0;
  ASSERT_TRUE(connect(*make_firmware(), [&](ByteView object) {
    ++steps;
    return dsm.answer(object);
  }));
  ASSERT_GE(steps, 7);
  for (int bent = 0; bent < steps; ++bent)
    for (const bool drop : {false, true}) {
      const auto victim = make_firmware();
      int step = 0;
      const auto result = connect(*victim, [&](ByteView object) {
        Bytes answer = dsm.answer(object);
        if (step++ != bent) return answer;
        if (drop) return Bytes{};
        // Behind the DOE header, in the last DWORD that is no padding.
        answer.at(answer.size() - 5) ^= std::byte{0x10};
        return answer;
      });
      EXPECT_FALSE(victim->connected() && result) << "step " << bent << " drop " << drop;
    }
}

}  // namespace
}  // namespace teeio::device::testing
