#include "card_fixture.h"
#include "device/plain_card.h"
#include "hw/find_capability.h"

namespace teeio::device::testing {
namespace {

using hw::TBit;
constexpr std::uint32_t kOnes = 0xffff'ffff;
constexpr std::uint32_t kScratch = 0x40;

class CardLockTest : public CardTest {
 protected:
  void SetUp() override {
    enable_bus_master(kPfIndex);
    enable_bus_master(kVfIndex);
  }
  /// The cause in the last state change of the trace.
  std::string last_cause() {
    std::string detail;
    for (const object::Event& event : trace.events())
      if (event.fact == object::Fact::kTdiState) detail = event.detail;
    return detail.substr(detail.find("cause=") + 6);
  }
  std::uint32_t power(unsigned index) { return capability(index, 0x01) + 4; }
};

TEST_F(CardLockTest, ConnectsLocksAndRunsThroughTheMailbox) {
  run(kVfIndex);
  EXPECT_EQ(state(kPfIndex), TdiState::kConfigUnlocked);
  stop(kVfIndex);
  EXPECT_EQ(state(kVfIndex), TdiState::kConfigUnlocked);
}

TEST_F(CardLockTest, TeeMemoryAnswersSharedWhenUnlockedAndTrustedInRun) {
  for (const unsigned number : {0U, 2U}) {
    SCOPED_TRACE(number);
    set_mmio(kVfIndex, number, kScratch, 0x1111);
    EXPECT_EQ(mmio(kVfIndex, number, kScratch), 0x1111U);
    EXPECT_EQ(mmio(kVfIndex, number, kScratch, TBit::kTrusted), kOnes);
  }
  lock(kVfIndex);
  for (const unsigned number : {0U, 2U}) {
    EXPECT_EQ(mmio(kVfIndex, number, kScratch), kOnes);
    EXPECT_EQ(mmio(kVfIndex, number, kScratch, TBit::kTrusted), kOnes);
  }
  tdisp(kVfIndex, wire::TdispStartInterface{nonce});
  for (const unsigned number : {0U, 2U}) {
    set_mmio(kVfIndex, number, kScratch, 0x2222);
    EXPECT_EQ(mmio(kVfIndex, number, kScratch), kOnes);
    EXPECT_EQ(mmio(kVfIndex, number, kScratch, TBit::kTrusted), 0x1111U) << "shared write vanished";
  }
}

// PCIe Base Spec 2.4.1. A write of MMIO is posted, and has no completion.
TEST_F(CardLockTest, ACompletionIsBehindTheWritesOfItsFunction) {
  const auto flushes = [&](const auto& act) {
    const unsigned before = port.flushes;
    act();
    return port.flushes - before;
  };
  EXPECT_EQ(flushes([&] { (void)config(kVfIndex, 0); }), 1U);
  EXPECT_EQ(flushes([&] { set_config(kVfIndex, 0x04, 6, 2); }), 1U);
  EXPECT_EQ(flushes([&] { (void)mmio(kVfIndex, 0, kScratch); }), 1U);
  EXPECT_EQ(flushes([&] { set_mmio(kVfIndex, 0, kScratch, 1); }), 0U);
  const unsigned doe = extended_capability(kPfIndex, 0x2e);
  EXPECT_EQ(flushes([&] { (void)config(kPfIndex, doe + 0x0c); }), 1U);
  EXPECT_EQ(flushes([&] { set_config(kPfIndex, doe + 0x10, 0); }), 1U);
  EXPECT_GE(flushes([&] { function(kVfIndex).reset(hw::ResetKind::kFunctionLevel); }), 1U);
  EXPECT_GE(flushes([&] { function(kPfIndex).reset(hw::ResetKind::kHot); }), 1U);
}

TEST(CardWithRom, ACompletionOfTheRomIsBehindTheWritesOfItsFunctionToo) {
  object::Trace trace;
  FakePort port;
  DmaEngineCard card(trace, {.pf = Bdf{0, 1, 0, 0},
                             .vfs = 1,
                             .window = Hpa{0x20'0000'0000},
                             .rom = Hpa{0xe000'0000},
                             .rom_bytes = 0x800});
  hw::PciFunction& pf = *card.functions().front();
  pf.attach(port);
  std::uint16_t signature = 0;
  for (const unsigned expected : {0xffffU, 0xaa55U}) {  // not decoded: a completion all the same
    const unsigned before = port.flushes;
    pf.rom()->target->mmio_read(0, writable_bytes_of(signature));
    EXPECT_EQ(port.flushes - before, 1U);
    EXPECT_EQ(signature, expected);
    pf.config_write(hw::kRomBar, 4, 0xe000'0000 | hw::kRomEnable);
  }
}

TEST_F(CardLockTest, StopScrubsWhatTheGuestLeft) {
  run(kVfIndex);
  set_mmio(kVfIndex, 0, kScratch, 0x5ec2e7, TBit::kTrusted);
  set_mmio(kVfIndex, 2, 0x1000, 0x5ec2e7, TBit::kTrusted);
  stop(kVfIndex);
  EXPECT_EQ(mmio(kVfIndex, 0, kScratch), 0U);
  EXPECT_EQ(mmio(kVfIndex, 2, 0x1000), 0U);
}

TEST_F(CardLockTest, MsixTableIsSharedUnlessLocked) {
  run(kVfIndex);
  set_mmio(kVfIndex, 4, 0x8, 5);
  EXPECT_EQ(mmio(kVfIndex, 4, 0x8), 5U);
  stop(kVfIndex);
  run(kVfIndex, wire::kLockMsix);
  EXPECT_EQ(mmio(kVfIndex, 4, 0x8), kOnes);
  set_mmio(kVfIndex, 4, 0x8, 6, TBit::kTrusted);
  EXPECT_EQ(mmio(kVfIndex, 4, 0x8, TBit::kTrusted), 6U);
}

TEST_F(CardLockTest, ReportHasTheRealBars) {
  lock(kVfIndex);
  const auto answer = tdisp(kVfIndex, wire::TdispGetInterfaceReport{0, 0xffff});
  const auto report =
      wire::TdispReport::decode(std::get<wire::TdispInterfaceReportPortion>(answer).portion);
  ASSERT_TRUE(report);
  const auto& bars = function(kVfIndex).bars();
  ASSERT_EQ(report->ranges.size(), 4U);
  EXPECT_EQ(report->ranges[0], (wire::TdispMmioRange{raw(bars[0].base) >> 12U, 16, 0, 0}));
  EXPECT_EQ(report->ranges[1], (wire::TdispMmioRange{raw(bars[2].base) >> 12U, 256,
                                                     wire::kMmioAttributeUpdatable, 2}));
  EXPECT_EQ(report->ranges[2].attributes, wire::kMmioMsixTable | wire::kMmioNonTeeMemory);
  EXPECT_EQ(report->ranges[3].attributes, wire::kMmioMsixPba | wire::kMmioNonTeeMemory);
  EXPECT_EQ(report->ranges[3].address(), raw(bars[4].base) + 0x1000);
}

TEST_F(CardLockTest, ClearingBusMasterIsAViolation) {
  run(kVfIndex);
  set_config(kVfIndex, 0x04, 0x0002, 2);
  EXPECT_EQ(state(kVfIndex), TdiState::kError);
  EXPECT_EQ(last_cause(), "bus-master-cleared");
  EXPECT_EQ(mmio(kVfIndex, 0, kScratch, TBit::kTrusted), kOnes);
}

TEST_F(CardLockTest, ClearingMemorySpaceIsAViolation) {
  lock(kPfIndex);
  set_config(kPfIndex, 0x04, 0x0004, 2);
  EXPECT_EQ(state(kPfIndex), TdiState::kError);
  EXPECT_EQ(last_cause(), "memory-space-cleared");
}

TEST_F(CardLockTest, WritingTheSameCommandIsNone) {
  run(kPfIndex);
  set_config(kPfIndex, 0x04, 0x0406, 2);
  EXPECT_EQ(state(kPfIndex), TdiState::kRun);
}

TEST_F(CardLockTest, MovingABarIsAViolation) {
  lock(kPfIndex);
  set_config(kPfIndex, 0x10, config(kPfIndex, 0x10));
  EXPECT_EQ(state(kPfIndex), TdiState::kConfigLocked);
  set_config(kPfIndex, 0x10, kOnes);  // sizing it
  EXPECT_EQ(state(kPfIndex), TdiState::kError);
  EXPECT_EQ(last_cause(), "bar-changed");
}

TEST_F(CardLockTest, LeavingD0IsAViolation) {
  lock(kVfIndex);
  set_config(kVfIndex, power(kVfIndex), 3, 2);
  EXPECT_EQ(state(kVfIndex), TdiState::kError);
  EXPECT_EQ(last_cause(), "power-state-changed");
}

TEST_F(CardLockTest, MsixControlIsLockedOnlyUnderLockMsix) {
  const unsigned control = capability(kVfIndex, 0x11) + 2;
  lock(kVfIndex);
  set_config(kVfIndex, control, 0x8000, 2);
  EXPECT_EQ(state(kVfIndex), TdiState::kConfigLocked);
  stop(kVfIndex);
  lock(kVfIndex, wire::kLockMsix);
  set_config(kVfIndex, control, 0xc000, 2);
  EXPECT_EQ(state(kVfIndex), TdiState::kError);
  EXPECT_EQ(last_cause(), "msix-changed");
}

TEST_F(CardLockTest, FunctionLevelResetOfALockedTdiIsAnError) {
  run(kVfIndex);
  set_mmio(kVfIndex, 2, 0, 0x5ec2e7, TBit::kTrusted);
  set_config(kVfIndex, capability(kVfIndex, 0x10) + 8, 0xa810, 2);
  EXPECT_EQ(state(kVfIndex), TdiState::kError);
  EXPECT_EQ(last_cause(), "function-level-reset");
  EXPECT_EQ(config(kVfIndex, 0x04, 2) & 0x4U, 0U);
  stop(kVfIndex);
  EXPECT_EQ(mmio(kVfIndex, 2, 0), 0U);
}

TEST_F(CardLockTest, ResetOfThePfTakesItsVfsAlong) {
  run(kVfIndex);
  function(kPfIndex).reset(hw::ResetKind::kFunctionLevel);
  EXPECT_EQ(state(kVfIndex), TdiState::kError);
}

TEST_F(CardLockTest, HotResetUnlocksAndLosesTheConnection) {
  run(kVfIndex);
  function(kPfIndex).reset(hw::ResetKind::kHot);
  EXPECT_EQ(state(kVfIndex), TdiState::kConfigUnlocked);
  const Bytes lost = exchange(channel->seal(wire::Protocol::kTdisp, Bytes(16)).value());
  EXPECT_EQ(channel->open(wire::Protocol::kTdisp, lost).error().code, Errno::kIo);
}

TEST_F(CardLockTest, ChangingSriovIsAViolationOfVfsOnly) {
  lock(kVfIndex);
  lock(kPfIndex);
  set_config(kPfIndex, extended_capability(kPfIndex, 0x10) + 8, 0x0001, 2);  // memory off
  EXPECT_EQ(state(kVfIndex), TdiState::kError);
  EXPECT_EQ(state(kPfIndex), TdiState::kConfigLocked);
  stop(kVfIndex);
  EXPECT_EQ(mmio(kVfIndex, 0, 0), kOnes);
  const auto refused = tdisp(kVfIndex, wire::TdispLockInterface{0, kStream, 0, 0});
  EXPECT_EQ(std::get<wire::TdispErrorResponse>(refused).code,
            static_cast<std::uint32_t>(wire::TdispError::kInvalidDeviceConfiguration));
}

TEST_F(CardLockTest, DisablingTheIdeStreamIsAnError) {
  const unsigned ide = extended_capability(kPfIndex, 0x30);
  run(kVfIndex);
  EXPECT_EQ(config(kPfIndex, ide + 0x14) & 0xfU, 2U) << "Secure";
  set_config(kPfIndex, ide + 0x10, 0);
  EXPECT_EQ(state(kVfIndex), TdiState::kError);
  EXPECT_EQ(config(kPfIndex, ide + 0x14) & 0xfU, 0U);
}

TEST_F(CardLockTest, ALockIsRefusedWhileABarIsElsewhere) {
  connect();
  set_config(kPfIndex, 0x10, 0);
  const auto refused = tdisp(kPfIndex, wire::TdispLockInterface{0, kStream, 0, 0});
  EXPECT_EQ(std::get<wire::TdispErrorResponse>(refused).code,
            static_cast<std::uint32_t>(wire::TdispError::kInvalidDeviceConfiguration));
}

TEST_F(CardLockTest, TheFunctionWorksAsASharedDeviceAfterUnbind) {
  run(kVfIndex);
  stop(kVfIndex);
  set_mmio(kVfIndex, 2, 8, 0xabcd);
  EXPECT_EQ(mmio(kVfIndex, 2, 8), 0xabcdU);
}

TEST_F(CardTest, MmioIsOffWithoutMemorySpaceAndInD3) {
  set_config(kPfIndex, 0x04, 0, 2);
  EXPECT_EQ(mmio(kPfIndex, 0, 0), kOnes);
  EXPECT_EQ(mmio(kPfIndex, 2, 0), kOnes);
  set_config(kPfIndex, 0x04, 2, 2);
  EXPECT_EQ(mmio(kPfIndex, 2, 0), 0U);
  set_config(kPfIndex, capability(kPfIndex, 1) + 4, 3, 2);
  EXPECT_EQ(mmio(kPfIndex, 2, 0), kOnes);
}

TEST_F(CardTest, AResetLeavesD0AndMsixOff) {
  const unsigned power = capability(kPfIndex, 1) + 4;
  const unsigned msix = capability(kPfIndex, 0x11) + 2;
  for (const auto kind : {hw::ResetKind::kFunctionLevel, hw::ResetKind::kHot}) {
    SCOPED_TRACE(kind == hw::ResetKind::kHot);
    enable_bus_master(kPfIndex);
    set_mmio(kPfIndex, 4, 0, 0xfee0'0000);
    set_mmio(kPfIndex, 4, 12, 0);
    set_config(kPfIndex, msix, 0xc000, 2);
    set_config(kPfIndex, power, 3, 2);
    function(kPfIndex).reset(kind);
    EXPECT_EQ(config(kPfIndex, power, 2) & 3U, 0U);
    EXPECT_EQ(config(kPfIndex, msix, 2) & 0xc000U, 0U);
    EXPECT_EQ(config(kPfIndex, 0x04, 2) & 6U, 0U);
    enable_bus_master(kPfIndex);
    EXPECT_EQ(mmio(kPfIndex, 4, 0), 0U);
    EXPECT_EQ(mmio(kPfIndex, 4, 12), 1U) << "masked";
  }
}

TEST_F(CardTest, NoMessageLeavesInD3) {
  enable_bus_master(kPfIndex);
  const std::uint64_t entry = 2 * 16;  // of the mailbox's vector
  set_mmio(kPfIndex, 4, entry, 0xfee0'0000);
  set_mmio(kPfIndex, 4, entry + 12, 0);
  set_config(kPfIndex, capability(kPfIndex, 0x11) + 2, 0x8000, 2);
  const unsigned doe = extended_capability(kPfIndex, 0x2e);
  const auto wrong_object = [&] {
    set_config(kPfIndex, doe + 0x08, 1);  // abort what was
    set_config(kPfIndex, doe + 0x0c, 2);  // its interrupt is seen
    set_config(kPfIndex, doe + 0x08, 2);
    set_config(kPfIndex, doe + 0x10, 0);
    set_config(kPfIndex, doe + 0x08, 0x8000'0002);  // GO with half an object
  };
  set_config(kPfIndex, capability(kPfIndex, 1) + 4, 3, 2);
  wrong_object();
  EXPECT_EQ(config(kPfIndex, doe + 0x0c) & 4U, 4U) << "the mailbox works in D3hot";
  EXPECT_TRUE(port.messages.empty());
  set_config(kPfIndex, capability(kPfIndex, 1) + 4, 0, 2);
  wrong_object();
  EXPECT_EQ(port.messages.size(), 1U);
}

TEST_F(CardTest, SriovNamesTheVfsDevice) {
  const unsigned sriov = extended_capability(kPfIndex, 0x10);
  EXPECT_EQ(config(kPfIndex, sriov + 0x1a, 2), DmaEngineCard::kVfDeviceId);
}

TEST_F(CardTest, BarsDoNotOverlapAndFillTheWindow) {
  struct Range {
    std::uint64_t base, end;
  };
  std::vector<Range> ranges;
  for (hw::PciFunction* each : card.functions())
    for (const hw::Bar& bar : each->bars())
      if (bar.kind != hw::Bar::Kind::kNone) {
        EXPECT_EQ(raw(bar.base) % bar.size, 0U);
        ranges.push_back({raw(bar.base), raw(bar.base) + bar.size});
      }
  std::ranges::sort(ranges, {}, &Range::base);
  ASSERT_EQ(ranges.size(), 9U);
  for (std::size_t i = 1; i < ranges.size(); ++i) EXPECT_LE(ranges[i - 1].end, ranges[i].base);
  EXPECT_LE(ranges.back().end, 0x20'0000'0000 + DmaEngineCard::window_bytes(2));
}

TEST_F(CardTest, SriovPlacesTheVfBarsWhereTheVfsAre) {
  const unsigned sriov = extended_capability(kPfIndex, 0x10);
  const std::uint64_t low = config(kPfIndex, sriov + 0x2c) & ~0xfU;
  const std::uint64_t high = config(kPfIndex, sriov + 0x30);
  for (unsigned i = 0; i < 2; ++i)
    EXPECT_EQ(raw(function(1 + i).bars()[2].base), (high << 32U | low) + i * (1U << 20U));
  EXPECT_EQ(function(1).bdf().rid(), kPf.rid() + 1);
  EXPECT_EQ(function(1).physical_function(), &function(0));
}

TEST_F(CardTest, RelocatedMemoryMovesThereAndBack) {
  hw::PlainMemoryBar& plain = *function(kPfIndex).bars()[2].plain;
  set_mmio(kPfIndex, 2, 0x10, 0x1111);
  Bytes pages(1U << 20U);
  plain.relocate(pages);
  EXPECT_EQ(Reader(ByteView(pages).subspan(0x10)).le<std::uint32_t>(), 0x1111U);
  pages[0x10] = std::byte{0x22};
  EXPECT_EQ(mmio(kPfIndex, 2, 0x10), 0x1122U);
  plain.relocate({});
  pages[0x10] = std::byte{0x33};
  EXPECT_EQ(mmio(kPfIndex, 2, 0x10), 0x1122U);
}

TEST_F(CardTest, PeerRequestsReachMemoryOnlyWhileItAnswersShared) {
  Bytes word(4, std::byte{0x5a});
  EXPECT_TRUE(bar(kVfIndex, 2).peer_write(0x10, word));
  EXPECT_EQ(mmio(kVfIndex, 2, 0x10), 0x5a5a5a5aU);
  EXPECT_FALSE(bar(kVfIndex, 0).peer_write(0x10, word));  // registers
  lock(kVfIndex);
  EXPECT_FALSE(bar(kVfIndex, 2).peer_write(0x10, word));
  EXPECT_FALSE(bar(kVfIndex, 2).peer_read(0x10, word));
}

TEST(PlainCard, IsNoTdiAndAnswersSharedOnly) {
  object::Trace trace;
  PlainCard card(trace, {.bdf = {0, 2, 0, 0}, .window = Hpa{0x30'0000'0000}});
  hw::PciFunction& function = card.function();
  EXPECT_FALSE(hw::find_extended_capability(function, 0x2e));
  EXPECT_EQ(function.private_bar(0), nullptr);
  const std::uint32_t value = 7;
  function.bars()[0].target->mmio_write(4, bytes_of(value));
  std::uint32_t back = 0;
  function.bars()[0].target->mmio_read(4, writable_bytes_of(back));
  EXPECT_EQ(back, 7U);
  function.reset(hw::ResetKind::kFunctionLevel);
  function.bars()[0].target->mmio_read(4, writable_bytes_of(back));
  EXPECT_EQ(back, kOnes) << "memory space is off after a reset";
}

TEST_F(CardTest, MailboxInterruptsWhenAnAnswerIsReadyAndWhenAnObjectIsWrong) {
  enable_bus_master(kPfIndex);
  const unsigned msix = capability(kPfIndex, 0x11);
  const std::uint64_t entry = 2 * 16;  // of the mailbox's vector
  set_mmio(kPfIndex, 4, entry, 0xfee0'0000);
  set_mmio(kPfIndex, 4, entry + 8, 0x42);
  set_mmio(kPfIndex, 4, entry + 12, 0);
  set_config(kPfIndex, msix + 2, 0x8000, 2);
  const unsigned doe = extended_capability(kPfIndex, 0x2e);
  EXPECT_EQ(config(kPfIndex, doe + 0x04) & 0xfffU, 1U | 2U << 1U);
  set_config(kPfIndex, doe + 0x08, 2);  // interrupt enable
  for (const std::uint32_t word : {0x0000'0001U, 3U, 0U}) set_config(kPfIndex, doe + 0x10, word);
  set_config(kPfIndex, doe + 0x08, 0x8000'0002);
  ASSERT_EQ(port.messages.size(), 1U);
  EXPECT_EQ(port.messages[0].data, 0x42U);
  EXPECT_EQ(config(kPfIndex, doe + 0x0c), 0x8000'0002U);  // ready, interrupt
  set_config(kPfIndex, doe + 0x0c, 2);
  EXPECT_EQ(config(kPfIndex, doe + 0x0c), 0x8000'0000U);
  set_config(kPfIndex, doe + 0x10, 0);
  set_config(kPfIndex, doe + 0x08, 0x8000'0002);  // GO with half an object
  EXPECT_EQ(port.messages.size(), 2U);
  EXPECT_EQ(config(kPfIndex, doe + 0x0c) & 4U, 4U);
  set_config(kPfIndex, doe + 0x08, 1);  // abort
  EXPECT_EQ(config(kPfIndex, doe + 0x0c) & ~2U, 0U);
}

TEST_F(CardTest, ChangingTheLinkFormatOfALockedTdiIsAnError) {
  const unsigned control = capability(kVfIndex, 0x10) + 8;
  lock(kVfIndex);
  set_config(kVfIndex, control, config(kVfIndex, control, 2) & ~0x0800U, 2);  // no-snoop: free
  EXPECT_EQ(state(kVfIndex), TdiState::kConfigLocked);
  set_config(kVfIndex, control, config(kVfIndex, control, 2) ^ 0x0020U, 2);
  EXPECT_EQ(state(kVfIndex), TdiState::kError);
}

}  // namespace
}  // namespace teeio::device::testing
