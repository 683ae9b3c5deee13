#include "dsm_fixture.h"

namespace teeio::device::testing {
namespace {

using wire::TdispError;
constexpr TdiState kStates[] = {TdiState::kConfigUnlocked, TdiState::kConfigLocked, TdiState::kRun,
                                TdiState::kError};

/// What each request does in each state: the error, or the state after it.
struct Outcome {
  std::optional<TdispError> error;
  TdiState after;
};

class EveryState : public DsmTest, public ::testing::WithParamInterface<TdiState> {
 protected:
  const TdiState from = GetParam();
  void expect(const wire::TdispBody& request, const Outcome& outcome) {
    EXPECT_EQ(error_in(tdisp(request)), outcome.error);
    EXPECT_EQ(tdi.state(), outcome.after);
  }
  Outcome unless(bool legal, TdiState after) const {
    return legal ? Outcome{std::nullopt, after} : Outcome{TdispError::kInvalidInterfaceState, from};
  }
};

TEST_P(EveryState, VersionCapabilitiesAndStateAreAlwaysAnswered) {
  bring_to(from);
  expect(wire::TdispGetVersion{}, {std::nullopt, from});
  expect(wire::TdispGetCapabilities{}, {std::nullopt, from});
  const auto answer = tdisp(wire::TdispGetInterfaceState{});
  EXPECT_EQ(std::get<wire::TdispInterfaceState>(answer).state, from);
}
TEST_P(EveryState, LockIsForUnlocked) {
  bring_to(from);
  if (from == TdiState::kConfigUnlocked) bring_up_stream();
  expect(wire::TdispLockInterface{0, kStream, 0, 0},
         unless(from == TdiState::kConfigUnlocked, TdiState::kConfigLocked));
}
TEST_P(EveryState, StartIsForLocked) {
  const auto nonce = bring_to(from);
  expect(wire::TdispStartInterface{nonce}, unless(from == TdiState::kConfigLocked, TdiState::kRun));
}
TEST_P(EveryState, StopAlwaysUnlocksAndScrubsWhatWasLocked) {
  bring_to(from);
  expect(wire::TdispStopInterface{}, {std::nullopt, TdiState::kConfigUnlocked});
  EXPECT_EQ(pf_function.scrubbed, from == TdiState::kConfigUnlocked ? 0 : 1);
}
TEST_P(EveryState, ReportIsForLockedAndRun) {
  bring_to(from);
  expect(wire::TdispGetInterfaceReport{0, 64}, unless(has_report(from), from));
}
TEST_P(EveryState, PeerToPeerAttributesAndVendorMessagesAreUnsupported) {
  bring_to(from);
  for (const wire::TdispBody& request :
       {wire::TdispBody(wire::TdispBindP2pStream{}), wire::TdispBody(wire::TdispUnbindP2pStream{}),
        wire::TdispBody(wire::TdispSetMmioAttribute{}), wire::TdispBody(wire::TdispVdm{})})
    expect(request, {TdispError::kUnsupportedRequest, from});
}
TEST_P(EveryState, ResponsesSentAsRequestsAreUnsupported) {
  bring_to(from);
  expect(wire::TdispStopInterfaceResponse{}, {TdispError::kUnsupportedRequest, from});
  expect(wire::TdispErrorResponse{}, {TdispError::kUnsupportedRequest, from});
}
TEST_P(EveryState, FunctionLevelResetLeavesErrorAndHotResetUnlocked) {
  bring_to(from);
  tdi.reset(hw::ResetKind::kFunctionLevel);
  EXPECT_EQ(tdi.state(), from == TdiState::kConfigUnlocked ? from : TdiState::kError);
  tdi.reset(hw::ResetKind::kHot);
  EXPECT_EQ(tdi.state(), TdiState::kConfigUnlocked);
}
TEST_P(EveryState, AViolationIsAnErrorOnlyUnderLock) {
  bring_to(from);
  tdi.violate("bus-master-cleared");
  EXPECT_EQ(tdi.state(), from == TdiState::kConfigUnlocked ? from : TdiState::kError);
}
INSTANTIATE_TEST_SUITE_P(Tdi, EveryState, ::testing::ValuesIn(kStates));

TEST_F(DsmTest, UnknownFunctionIsAnInvalidInterface) {
  EXPECT_EQ(error_in(tdisp(wire::TdispGetVersion{}, {0, 1, 0, 2})), TdispError::kInvalidInterface);
}

TEST_F(DsmTest, AnotherSegmentIsAnInvalidInterface) {
  EXPECT_EQ(error_in(tdisp(wire::TdispGetVersion{}, {7, 1, 0, 0})), TdispError::kInvalidInterface);
}

TEST_F(DsmTest, AnotherVersionIsAMismatchExceptWhenAskingForVersions) {
  wire::TdispMessage message{wire::TdispFunctionId::of(kPf), wire::TdispGetInterfaceState{}, 0x11};
  const auto answer = send(wire::Protocol::kTdisp, wire::encode_tdisp(message));
  EXPECT_EQ(error_in(wire::decode_tdisp(*answer)->body), TdispError::kVersionMismatch);
  message.body = wire::TdispGetVersion{};
  const auto versions = send(wire::Protocol::kTdisp, wire::encode_tdisp(message));
  EXPECT_TRUE(std::holds_alternative<wire::TdispVersion>(wire::decode_tdisp(*versions)->body));
}

TEST_F(DsmTest, AWrongLengthIsAnInvalidRequest) {
  Bytes bytes = wire::encode_tdisp({wire::TdispFunctionId::of(kPf), wire::TdispStopInterface{}});
  bytes.push_back(std::byte{0});
  const auto answer = send(wire::Protocol::kTdisp, bytes);
  EXPECT_EQ(error_in(wire::decode_tdisp(*answer)->body), TdispError::kInvalidRequest);
}

TEST_F(DsmTest, AnUnknownCodeIsUnsupportedAndNamedInTheData) {
  Bytes bytes = wire::encode_tdisp({wire::TdispFunctionId::of(kPf), wire::TdispStopInterface{}});
  bytes[1] = std::byte{0x8c};
  const auto answer = wire::decode_tdisp(send(wire::Protocol::kTdisp, bytes).value());
  EXPECT_EQ(error_in(answer->body), TdispError::kUnsupportedRequest);
  EXPECT_EQ(std::get<wire::TdispErrorResponse>(answer->body).data, 0x8cU);
}

TEST_F(DsmTest, AMessageWithoutAWholeHeaderIsRefusedBySpdm) {
  EXPECT_EQ(send(wire::Protocol::kTdisp, Bytes(15)).error().code, Errno::kIo);
}

TEST_F(DsmTest, CapabilitiesNameWhatIsSupported) {
  const auto answer = std::get<wire::TdispCapabilities>(tdisp(wire::TdispGetCapabilities{}));
  EXPECT_EQ(answer.requests[0], 0xfe);
  EXPECT_EQ(answer.requests[1], 0);
  EXPECT_EQ(answer.lock_flags, Tdi::kLockFlags);
}

TEST_F(DsmTest, AWrongNonceIsRefusedAndTheRightOneStillWorks) {
  auto nonce = bring_to(TdiState::kConfigLocked);
  nonce[31] ^= std::byte{1};
  EXPECT_EQ(error_in(tdisp(wire::TdispStartInterface{nonce})), TdispError::kInvalidNonce);
  EXPECT_EQ(tdi.state(), TdiState::kConfigLocked);
  nonce[31] ^= std::byte{1};
  EXPECT_EQ(error_in(tdisp(wire::TdispStartInterface{nonce})), std::nullopt);
}

TEST_F(DsmTest, ANonceDiesWithItsLock) {
  const auto old = bring_to(TdiState::kConfigLocked);
  tdisp(wire::TdispStopInterface{});
  const auto fresh = lock();
  EXPECT_NE(fresh, old);
  EXPECT_EQ(error_in(tdisp(wire::TdispStartInterface{old})), TdispError::kInvalidNonce);
}

TEST_F(DsmTest, LockWantsAllKeysInUse) {
  const wire::TdispLockInterface request{0, kStream, 0, 0};
  write_control(0, kStream, true);
  EXPECT_EQ(error_in(tdisp(request)), TdispError::kInvalidRequest);
  const auto all = selectors(0);
  for (const auto selector : all) program({kStream, selector, 0, key(1)});
  EXPECT_EQ(error_in(tdisp(request)), TdispError::kInvalidRequest);
  for (std::size_t i = 0; i + 1 < all.size(); ++i) ide(wire::IdeKmKSetGo{kStream, all[i], 0});
  EXPECT_EQ(error_in(tdisp(request)), TdispError::kInvalidRequest);
  ide(wire::IdeKmKSetGo{kStream, all.back(), 0});
  EXPECT_EQ(error_in(tdisp(request)), std::nullopt);
}

TEST_F(DsmTest, LockWantsTheStreamEnabled) {
  bring_up_stream();
  write_control(0, kStream, false);
  EXPECT_EQ(error_in(tdisp(wire::TdispLockInterface{0, kStream, 0, 0})),
            TdispError::kInvalidRequest);
}

TEST_F(DsmTest, LockWantsAStreamThatExists) {
  bring_up_stream();
  EXPECT_EQ(error_in(tdisp(wire::TdispLockInterface{0, 9, 0, 0})), TdispError::kInvalidRequest);
}

TEST_F(DsmTest, LockRefusesFlagsItDoesNotOfferAndCrookedOffsets) {
  bring_up_stream();
  EXPECT_EQ(error_in(tdisp(wire::TdispLockInterface{wire::kLockBindP2p, kStream, 0, 0})),
            TdispError::kInvalidRequest);
  EXPECT_EQ(error_in(tdisp(wire::TdispLockInterface{0, kStream, 0x800, 0})),
            TdispError::kInvalidRequest);
}

TEST_F(DsmTest, LockRefusesABadConfiguration) {
  bring_up_stream();
  pf_function.fault = "a BAR is not where the bus decodes it";
  EXPECT_EQ(error_in(tdisp(wire::TdispLockInterface{0, kStream, 0, 0})),
            TdispError::kInvalidDeviceConfiguration);
  EXPECT_EQ(tdi.state(), TdiState::kConfigUnlocked);
}

TEST_F(DsmTest, FunctionsAreLockedEachOnItsOwn) {
  bring_up_stream();
  lock(kVf);
  EXPECT_EQ(vf.state(), TdiState::kConfigLocked);
  EXPECT_EQ(tdi.state(), TdiState::kConfigUnlocked);
}

TEST_F(DsmTest, ReportComesInPortions) {
  bring_to(TdiState::kRun);
  Bytes whole;
  std::uint16_t remainder = 1;
  while (remainder != 0) {
    const auto offset = static_cast<std::uint16_t>(whole.size());
    const auto answer = tdisp(wire::TdispGetInterfaceReport{offset, 7});
    const auto& portion = std::get<wire::TdispInterfaceReportPortion>(answer);
    ASSERT_FALSE(portion.portion.empty());
    whole.insert(whole.end(), portion.portion.begin(), portion.portion.end());
    remainder = portion.remainder;
  }
  const auto report = wire::TdispReport::decode(whole);
  ASSERT_TRUE(report);
  ASSERT_EQ(report->ranges.size(), 2U);
  EXPECT_EQ(report->ranges[0].first_page, 0xd000'0000U);  // with the reporting offset
  EXPECT_EQ(report->ranges[1].attributes, wire::kMmioMsixTable | wire::kMmioNonTeeMemory);
  EXPECT_EQ(report->msix_message_control, 0);
}

TEST_F(DsmTest, ReportUnderLockMsixMakesTheTableTeeMemory) {
  bring_up_stream();
  lock(kPf, wire::kLockMsix | wire::kLockNoFirmwareUpdate);
  const auto answer = tdisp(wire::TdispGetInterfaceReport{0, 0xffff});
  const auto report =
      wire::TdispReport::decode(std::get<wire::TdispInterfaceReportPortion>(answer).portion);
  EXPECT_EQ(report->ranges[1].attributes, wire::kMmioMsixTable);
  EXPECT_NE(report->interface_info & wire::kInfoNoUpdateAfterLock, 0);
  EXPECT_EQ(report->msix_message_control, 0x8003);
  EXPECT_TRUE(tdi.view().msix_lock);
}

TEST_F(DsmTest, ReportPortionsOutsideAreInvalid) {
  bring_to(TdiState::kConfigLocked);
  EXPECT_EQ(error_in(tdisp(wire::TdispGetInterfaceReport{0xffff, 1})), TdispError::kInvalidRequest);
  EXPECT_EQ(error_in(tdisp(wire::TdispGetInterfaceReport{0, 0})), TdispError::kInvalidRequest);
}

TEST_F(DsmTest, TraceHasTheArrowAndTheState) {
  bring_to(TdiState::kConfigLocked);
  const auto& events = trace.events();
  const auto arrow =
      std::ranges::find(events, std::string_view("LOCK_INTERFACE"), &object::Event::name);
  ASSERT_NE(arrow, events.end());
  EXPECT_EQ(arrow->to, object::Lane::kDevice);
  EXPECT_EQ(arrow->function, kPf);
  const auto state = std::ranges::find(events, object::Fact::kTdiState, &object::Event::fact);
  ASSERT_NE(state, events.end());
  EXPECT_EQ(state->parent, arrow->seq);
  EXPECT_EQ(state->a, 0U);
  EXPECT_EQ(state->b, 1U);
  EXPECT_EQ(std::ranges::count(events, object::Fact::kTdiLockNonce, &object::Event::fact), 1);
}

TEST_F(DsmTest, TraceShowsARefusal) {
  tdisp(wire::TdispLockInterface{0, kStream, 0, 0});
  const auto& event = trace.events().back();
  EXPECT_TRUE(event.refused);
  EXPECT_EQ(event.outcome, "INVALID_REQUEST");
}

}  // namespace
}  // namespace teeio::device::testing
