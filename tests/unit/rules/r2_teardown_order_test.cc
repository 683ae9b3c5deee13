#include <gmock/gmock.h>

#include "unit/rules/story.h"

namespace teeio::rules {
namespace {

using object::Fact;
using object::Lane;
using ::testing::HasSubstr;

TEST(R2TeardownOrder, TdxStopsFirst) {
  Story story;
  story.bind();
  story.accept();
  story.unbind();
  story.sanitizer.finish();
  EXPECT_EQ(story.broken(), "");
}

TEST(R2TeardownOrder, CcaUnmapsFirst) {
  Story story(kCcaOrder);
  story.bind();
  story.accept();
  story.unmap();
  story.fact(Fact::kTrustedDmaOff);
  story.stop();
  story.free();
  story.sanitizer.finish();
  EXPECT_EQ(story.broken(), "");
}

TEST(R2TeardownOrder, CcaOrderIsWrongOnTdx) {
  Story story;
  story.bind();
  story.accept();
  story.unmap();
  EXPECT_EQ(story.broken(), "");  // waits for the stop, to name both
  story.stop();
  EXPECT_EQ(story.only().what,
            "0000:01:00.1: private MMIO was unmapped before the TDI was stopped (tdx order): "
            "[11] before [13]");
}

TEST(R2TeardownOrder, TdxOrderIsWrongOnCca) {
  Story story(kCcaOrder);
  story.bind();
  story.accept();
  story.unbind();
  EXPECT_EQ(story.broken(), "R1 R2 R2");  // unlocked under its MMIO, under its DMA
}

TEST(R2TeardownOrder, WhoAsksForNoOrderHasNone) {
  EXPECT_EQ(&teardown_order("tdx"), &kTdxOrder);
  EXPECT_EQ(&teardown_order("cca"), &kCcaOrder);
  EXPECT_EQ(&teardown_order("sev"), &kSevOrder);
  for (const std::string_view tsm : {"none", "null", ""}) {
    const TeardownOrder& order = teardown_order(tsm);
    for (const auto first : {TeardownStep::kStop, TeardownStep::kUnmap, TeardownStep::kDmaOff,
                             TeardownStep::kFreeMetadata})
      for (const auto then : {TeardownStep::kStop, TeardownStep::kUnmap, TeardownStep::kDmaOff,
                              TeardownStep::kFreeMetadata})
        EXPECT_FALSE(order.ordered(first, then)) << tsm;
  }
}

TEST(R2TeardownOrder, MetadataGoesLast) {
  Story story;
  story.bind();
  story.accept();
  story.stop();
  story.unmap();
  story.fact(Fact::kMetadataRemoved);
  story.fact(Fact::kTrustedDmaOff);
  EXPECT_EQ(story.only().rule, RuleId::kR2);
  EXPECT_THAT(story.only().what, HasSubstr("metadata was freed before trusted DMA was turned off"));
}

TEST(R2TeardownOrder, AStopThatFailedIsNone) {
  Story story(kCcaOrder);
  story.bind();
  story.fact(Fact::kTdiStopFailed);
  story.fact(Fact::kMetadataRemoved);
  story.sanitizer.finish();
  EXPECT_EQ(story.only().rule, RuleId::kR2);
  EXPECT_THAT(story.only().what, HasSubstr("metadata was freed before the TDI was stopped"));
}

TEST(R2TeardownOrder, AStopWhoseAnswerAloneWasLostIsOne) {
  Story story(kCcaOrder);
  story.bind();
  story.tdi(kTdiLocked, kTdiUnlocked);
  story.fact(Fact::kTdiStopFailed);
  story.free();
  story.sanitizer.finish();
  EXPECT_EQ(story.broken(), "");
}

// AMD's tdi_unbind(): TDI_RECLAIM comes after TDI_UNBIND with FORCE, whatever the device says.
TEST(R2TeardownOrder, OnSevAForcedUnbindStandsInForTheStop) {
  Story story(kSevOrder);
  story.bind();
  story.fact(Fact::kTdiStopFailed);
  story.fact(Fact::kMetadataRemoved);
  story.sanitizer.finish();
  EXPECT_EQ(story.broken(), "");
}

TEST(R2TeardownOrder, ATdiThatIsLockedAnewIsToBeStoppedAnew) {
  Story story(kSevOrder);
  story.bind();
  story.fact(Fact::kTdiStopFailed);
  story.fact(Fact::kMetadataRemoved);
  story.bind();
  story.fact(Fact::kMetadataRemoved);
  story.sanitizer.finish();
  EXPECT_THAT(story.broken(), HasSubstr("R2"));
}

TEST(R2TeardownOrder, ABlockedStreamStandsInForTheStop) {
  Story story;
  story.bind();
  story.accept();
  story.fact(Fact::kStreamBlocked, {.a = 1});
  story.unmap();
  story.fact(Fact::kTrustedDmaOff);
  story.fact(Fact::kMetadataRemoved);
  story.sanitizer.finish();
  EXPECT_EQ(story.broken(), "");
}

TEST(R2TeardownOrder, WhatNeverComesIsReportedAtTheEnd) {
  Story story;
  story.bind();
  story.fact(Fact::kDeviceReset);
  story.fact(Fact::kUnbound);
  story.sanitizer.finish();
  std::string text;
  for (const Violation& v : story.sanitizer.violations())
    if (v.rule == RuleId::kR2) text = violation_text(v);
  EXPECT_THAT(text, HasSubstr("never: the TDI was stopped"));
}

// Linux's vfio_df_device_last_close(): revoke (KVM blocks and unmaps), reset,
// then iommufd's unbind. The firmware refuses the unmap.
class MainlineClose : public ::testing::Test {
 protected:
  void refuse_unmap() {
    auto close = story.trace.call(Lane::kVfio, "release");
    auto notify = story.trace.call(Lane::kKvm, "move_notify");
    story.fact(Fact::kMmioBlocked, {.a = 0x1000, .b = 0xf0000000});
    {
      auto unmap = story.trace.call(Lane::kFirmware, "TDH.MMIO.UNMAP");
      unmap.refuse("TDX_TDISP_INVALID_STATE", "the TDI was not stopped");
    }
    story.trace.fact(Lane::kKvm, Fact::kVmDead, "KVM_BUG_ON", {.vm = 1});
  }
  Story story;
};

TEST_F(MainlineClose, NamesTheRefusedUnmapAndTheLateStop) {
  story.bind();
  story.accept();
  refuse_unmap();
  EXPECT_EQ(story.broken(), "");
  story.stop();
  const Violation& violation = story.only();
  EXPECT_EQ(violation.rule, RuleId::kR2);
  const std::string text = violation_text(violation);
  const std::size_t unmap = text.find("TDH.MMIO.UNMAP = TDX_TDISP_INVALID_STATE");
  const std::size_t stop = text.rfind("[" + std::to_string(violation.events.back().seq) + "]");
  ASSERT_NE(unmap, std::string::npos) << text;
  ASSERT_NE(stop, std::string::npos) << text;
  EXPECT_LT(unmap, stop);
  EXPECT_THAT(text, HasSubstr("VM 1 died of it: [13] before [16]"));
  EXPECT_THAT(text, HasSubstr("#0 [11] VFIO -> KVM move_notify")) << text;
}

TEST_F(MainlineClose, ARefusalThatKillsNobodyIsNoViolation) {
  story.bind();
  story.accept();
  {
    auto unmap = story.trace.call(Lane::kFirmware, "TDH.MMIO.UNMAP");
    unmap.refuse("TDX_OPERAND_BUSY", "try again");
  }
  story.unbind();
  story.sanitizer.finish();
  EXPECT_EQ(story.broken(), "");
}

TEST_F(MainlineClose, AVmThatDiesForAnotherReasonIsNoViolation) {
  story.bind();
  story.accept();
  story.stop();
  refuse_unmap();
  story.sanitizer.finish();
  EXPECT_EQ(story.broken(), "");
}

TEST_F(MainlineClose, TheResetBeforeTheStopIsAPairOfItsOwn) {
  story.bind();
  story.accept();
  refuse_unmap();
  story.fact(Fact::kDeviceReset);
  story.stop();
  EXPECT_EQ(story.broken(), "R4 R2 R2");
}

}  // namespace
}  // namespace teeio::rules
