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
TEST_P(EveryState, PeerToPeerStreamsAndAttributesAreForRun) {
  bring_to(from);
  // In RUN the state allows them, and something else about each is wrong.
  const Outcome outcome{
      from == TdiState::kRun ? TdispError::kInvalidRequest : TdispError::kInvalidInterfaceState,
      from};
  expect(wire::TdispBindP2pStream{9}, outcome);
  expect(wire::TdispUnbindP2pStream{9}, outcome);
  expect(wire::TdispSetMmioAttribute{}, outcome);
}
TEST_P(EveryState, VendorMessagesAreAlwaysAnswered) {
  bring_to(from);
  const Bytes id{std::byte{0xfe}, std::byte{0x1e}};
  expect(wire::TdispVdm{0, id, {std::byte{1}, std::byte{7}}}, {std::nullopt, from});
  expect(wire::TdispVdm{0, id, {std::byte{2}}}, {TdispError::kVendorSpecificError, from});
  expect(wire::TdispVdm{0, id, {}}, {TdispError::kVendorSpecificError, from});
  expect(wire::TdispVdm{1, id, {std::byte{1}}}, {TdispError::kUnsupportedRequest, from});
  expect(wire::TdispVdm{0, {}, {std::byte{1}}}, {TdispError::kUnsupportedRequest, from});
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
  EXPECT_EQ(answer.requests[1], 0x0f);
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

TEST_F(DsmTest, LockRefusesReservedFlagsAndCrookedOffsets) {
  bring_up_stream();
  EXPECT_EQ(error_in(tdisp(wire::TdispLockInterface{0x20, kStream, 0, 0})),
            TdispError::kInvalidRequest);
  EXPECT_EQ(error_in(tdisp(wire::TdispLockInterface{0, kStream, 0x800, 0})),
            TdispError::kInvalidRequest);
}

TEST_F(DsmTest, LockTakesEveryFlagOfTdisp10) {
  bring_up_stream();
  EXPECT_EQ(error_in(tdisp(wire::TdispLockInterface{0x1f, kStream, 0, ~0ULL})), std::nullopt);
}

TEST_F(DsmTest, LockWantsTrafficClassZero) {
  bring_up_stream();
  write_ide(0, 0x04, unsigned{kStream} << 24U | 1U << 19U | 1U);
  EXPECT_EQ(error_in(tdisp(wire::TdispLockInterface{0, kStream, 0, 0})),
            TdispError::kInvalidRequest);
}

TEST_F(DsmTest, LockWithoutRandomnessIsRefused) {
  bring_up_stream();
  pf_function.entropy = false;
  EXPECT_EQ(error_in(tdisp(wire::TdispLockInterface{0, kStream, 0, 0})),
            TdispError::kInsufficientEntropy);
  EXPECT_EQ(tdi.state(), TdiState::kConfigUnlocked);
}

TEST_F(DsmTest, TheEndOfTheSessionThatLockedIsAnError) {
  bring_to(TdiState::kRun);
  dsm.session_ended(77);
  EXPECT_EQ(tdi.state(), TdiState::kRun);
  dsm.session_ended(0);
  EXPECT_EQ(tdi.state(), TdiState::kError);
  EXPECT_FALSE(shows_secure(0));
  EXPECT_EQ(error_in(tdisp(wire::TdispLockInterface{0, kStream, 0, 0}, kVf)),
            TdispError::kInvalidRequest);
}

TEST_F(DsmTest, APeerToPeerStreamIsBoundOnceAndItsLossIsAnError) {
  set_up_stream(1, 4);
  bring_up_stream();
  bring_up_stream(4);
  const auto nonce = lock(kPf, wire::kLockBindP2p);
  tdisp(wire::TdispStartInterface{nonce});
  EXPECT_EQ(error_in(tdisp(wire::TdispBindP2pStream{kStream})), TdispError::kInvalidRequest);
  EXPECT_EQ(error_in(tdisp(wire::TdispBindP2pStream{4})), std::nullopt);
  EXPECT_EQ(error_in(tdisp(wire::TdispBindP2pStream{4})), TdispError::kInvalidRequest);
  write_control(1, 4, false);
  EXPECT_EQ(tdi.state(), TdiState::kError);
}

TEST_F(DsmTest, AnUnboundPeerToPeerStreamMayGo) {
  set_up_stream(1, 4);
  bring_up_stream();
  bring_up_stream(4);
  const auto nonce = lock(kPf, wire::kLockBindP2p);
  tdisp(wire::TdispStartInterface{nonce});
  tdisp(wire::TdispBindP2pStream{4});
  EXPECT_EQ(error_in(tdisp(wire::TdispUnbindP2pStream{4})), std::nullopt);
  write_control(1, 4, false);
  EXPECT_EQ(tdi.state(), TdiState::kRun);
}

TEST_F(DsmTest, PeerToPeerStreamsNeedTheLocksLeave) {
  set_up_stream(1, 4);
  bring_up_stream(4);
  bring_to(TdiState::kRun);
  EXPECT_EQ(error_in(tdisp(wire::TdispBindP2pStream{4})), TdispError::kInvalidRequest);
}

TEST_F(DsmTest, AnUpdatableRangeOpensAndClosesForSharedAccesses) {
  bring_to(TdiState::kRun);
  constexpr RangeSet kTee = 1U << 0U, kUpdatable = 1U << 2U;  // of FakeFunction's ranges
  const auto shared = [this] { return tdi.view().answers(hw::TBit::kShared, kUpdatable); };
  const auto set = [this](std::uint16_t attributes) {
    return error_in(tdisp(wire::TdispSetMmioAttribute{{0xd'0200, 4, attributes, 2}}));
  };
  EXPECT_FALSE(shared());
  EXPECT_EQ(set(wire::kMmioNonTeeMemory), std::nullopt);
  EXPECT_TRUE(shared());
  EXPECT_FALSE(tdi.view().answers(hw::TBit::kShared, kTee));
  EXPECT_FALSE(tdi.view().answers(hw::TBit::kShared, kTee | kUpdatable));
  const auto answer = tdisp(wire::TdispGetInterfaceReport{0, 0xffff});
  const auto report =
      wire::TdispReport::decode(std::get<wire::TdispInterfaceReportPortion>(answer).portion);
  EXPECT_EQ(report->ranges.back().attributes,
            wire::kMmioAttributeUpdatable | wire::kMmioNonTeeMemory);
  EXPECT_EQ(set(0), std::nullopt);
  EXPECT_FALSE(shared());
  set(wire::kMmioNonTeeMemory);
  tdisp(wire::TdispStopInterface{});
  EXPECT_EQ(tdi.view().non_tee, 0);
}

TEST_F(DsmTest, OnlyWholeUpdatableRangesOfTheReportAreSet) {
  bring_to(TdiState::kRun);
  for (const wire::TdispMmioRange& range :
       {wire::TdispMmioRange{0xd'0000, 16, 4, 0}, wire::TdispMmioRange{0xd'0200, 3, 4, 2},
        wire::TdispMmioRange{0xd'0200, 4, 4, 3}, wire::TdispMmioRange{0xc'0200, 4, 4, 2}})
    EXPECT_EQ(error_in(tdisp(wire::TdispSetMmioAttribute{range})), TdispError::kInvalidRequest);
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
  ASSERT_EQ(report->ranges.size(), 3U);
  EXPECT_EQ(report->ranges[0].first_page, 0xd'0000U);  // with the reporting offset
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
