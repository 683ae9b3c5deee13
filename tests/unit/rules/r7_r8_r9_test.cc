#include "unit/rules/story.h"

namespace teeio::rules {
namespace {

using object::DmaKind;
using object::Fact;

void dma(Story& story, DmaKind kind) {
  story.fact(Fact::kDma, {.a = static_cast<std::uint64_t>(kind), .b = 0x4000});
}

TEST(R7Dma, ReachesWhatItsTBitAllows) {
  Story story;
  dma(story, DmaKind::kSharedToShared);
  story.bind();
  story.accept();
  dma(story, DmaKind::kTrustedToOwn);
  dma(story, DmaKind::kTrustedToSharedHalf);
  dma(story, DmaKind::kSharedToShared);
  EXPECT_EQ(story.broken(), "");
}

class R7Breach : public ::testing::TestWithParam<DmaKind> {};
TEST_P(R7Breach, IsReported) {
  Story story;
  story.bind();
  story.accept();
  dma(story, GetParam());
  EXPECT_EQ(story.only().rule, RuleId::kR7);
}
INSTANTIATE_TEST_SUITE_P(Kinds, R7Breach,
                         ::testing::Values(DmaKind::kSharedToPrivate, DmaKind::kTrustedToShared,
                                           DmaKind::kTrustedToOther));

TEST(R7Dma, TrustedDmaNeedsAnOwner) {
  Story story;
  story.bind();
  story.accept();
  story.unbind();
  dma(story, DmaKind::kTrustedToOwn);
  EXPECT_EQ(story.only().what,
            "0000:01:00.1: T=1 DMA at IOVA 0x4000 by a function that no VM owns");
}

TEST(R8Freshness, EachKeyIsProgrammedOnce) {
  Story story;
  story.fact(Fact::kKeyUsed, {.a = 1, .b = 0xaaaa});
  story.fact(Fact::kKeyUsed, {.a = 1, .b = 0xbbbb});
  EXPECT_EQ(story.broken(), "");
  story.fact(Fact::kKeyUsed, {.a = 2, .b = 0xaaaa});  // another stream does not matter
  EXPECT_EQ(story.only().rule, RuleId::kR8);
}

TEST(R8Freshness, SequenceNumbersRiseInEachSession) {
  Story story;
  story.fact(Fact::kSequenceUsed, {.a = 1, .b = 0});
  story.fact(Fact::kSequenceUsed, {.a = 2, .b = 0});
  story.fact(Fact::kSequenceUsed, {.a = 1, .b = 1});
  EXPECT_EQ(story.broken(), "");
  story.fact(Fact::kSequenceUsed, {.a = 1, .b = 1});
  EXPECT_EQ(story.only().what, "session 1: sequence number 1 after 1");
}

TEST(R9Start, LeadsThroughLockedAndTheGuest) {
  Story story;
  story.bind();
  story.accept();
  EXPECT_EQ(story.broken(), "");
}

TEST(R9Start, DoesNotSkipLocked) {
  Story story;
  story.tdi(kTdiUnlocked, kTdiRun);
  EXPECT_EQ(story.only().rule, RuleId::kR9);
}

TEST(R9Start, NeedsTheGuestsRequest) {
  Story story;
  story.bind();
  story.tdi(kTdiLocked, kTdiRun);
  story.fact(Fact::kTdiStarted, {.a = kNonce});
  EXPECT_EQ(story.only().what, "0000:01:00.1: started, and no guest asked for it");
}

TEST(R9Start, NeedsTheLocksNonce) {
  Story story;
  story.bind();
  story.fact(Fact::kGuestStart, {.a = kNonce});
  story.tdi(kTdiLocked, kTdiRun);
  story.fact(Fact::kTdiStarted, {.a = 1});
  EXPECT_EQ(story.only().what, "0000:01:00.1: started with a nonce that is not the lock's");
}

// A request from the lock before is stale: the guest looked at another report.
TEST(R9Start, DoesNotUseTheRequestOfAnEarlierLock) {
  Story story;
  story.bind();
  story.accept();
  story.unbind();
  story.bind();
  story.tdi(kTdiLocked, kTdiRun);
  story.fact(Fact::kTdiStarted, {.a = kNonce});
  EXPECT_EQ(story.only().rule, RuleId::kR9);
}

TEST(R9Start, DoesNotFollowAnotherVmsGuest) {
  Story story;
  story.bind();
  story.fact(Fact::kGuestStart, {.vm = 2, .a = kNonce});
  story.tdi(kTdiLocked, kTdiRun);
  story.fact(Fact::kTdiStarted, {.a = kNonce});
  EXPECT_EQ(story.only().rule, RuleId::kR9);
}

TEST(Report, HasAStableFormat) {
  const Violation violation{
      .rule = RuleId::kR4,
      .what = "0000:01:00.1: reset by the host while bound to VM 1",
      .origin = {.pid = 7, .tid = 7, .fd = -1, .call = "write reset"},
      .stack = {{11, "VMM -> VFIO write reset"}},
      .events = {{10, "host TSM: bound 0000:01:00.1 VM 1"}, {12, "VFIO: function reset"}}};
  EXPECT_EQ(violation_text(violation),
            "=================================================================\n"
            "ERROR: teeio: R4 the host reaches a bound device: 0000:01:00.1: reset by the host "
            "while bound to VM 1\n"
            "    by process 7, thread 7, in write reset\n"
            "    #0 [11] VMM -> VFIO write reset\n"
            "  events that led there:\n"
            "    [10] host TSM: bound 0000:01:00.1 VM 1\n"
            "    [12] VFIO: function reset\n"
            "  rule: the host reaches no bound device: no live mapping, read, write, config write "
            "with effect, reset; no program writes to the mailbox of a connected DSM\n"
            "  source: TDISP ECN 11.2.6; linux-coco, \"Host side (KVM/VFIO/IOMMUFD) support for "
            "TDISP\", 2025-06; Linux drivers/pci/doe.c, pci_doe_send_req()\n"
            "SUMMARY: teeio: R4 0000:01:00.1: reset by the host while bound to VM 1\n");
}

}  // namespace
}  // namespace teeio::rules
