#include "unit/rules/story.h"

namespace teeio::rules {
namespace {

using object::Fact;

TEST(R1PrivateMmio, MayBeMappedWhileLockedOrRunning) {
  Story story;
  story.bind();
  story.accept();
  story.fact(Fact::kMmioMapped, {.a = 0x2000});
  EXPECT_EQ(story.broken(), "");
}

TEST(R1PrivateMmio, IsNotMappedForAnUnlockedTdi) {
  Story story;
  story.fact(Fact::kMetadataCreated);
  story.fact(Fact::kMmioMapped, {.a = 0x1000});
  EXPECT_EQ(story.only().what, "0000:01:00.1: mapped for VM 1 while the TDI is CONFIG_UNLOCKED");
}

TEST(R1PrivateMmio, IsNotMappedForATdiInError) {
  Story story;
  story.bind();
  story.tdi(kTdiLocked, kTdiError);
  EXPECT_EQ(story.broken(), "");  // bound and in ERROR is no breach
  story.fact(Fact::kMmioMapped, {.a = 0x1000});
  EXPECT_EQ(story.broken(), "R1");
}

TEST(R1PrivateMmio, IsGoneBeforeACcaDeviceUnlocks) {
  Story story(kCcaOrder);
  story.bind();
  story.accept();
  story.tdi(kTdiRun, kTdiUnlocked);
  EXPECT_EQ(story.broken(), "R1");
}

// The stop came from the bus, so no teardown has begun.
TEST(R1PrivateMmio, DoesNotSurviveAResetThatUnlocksTheTdi) {
  Story story;
  story.bind();
  story.accept();
  story.tdi(kTdiRun, kTdiUnlocked);
  EXPECT_EQ(story.broken(), "");
  story.fact(Fact::kDeviceReset);
  EXPECT_EQ(story.sanitizer.violations().front().what,
            "0000:01:00.1: a reset unlocked the TDI with 1 private MMIO page mapped");
}

TEST(R1PrivateMmio, DoesNotSurviveUnbind) {
  Story story;
  story.bind();
  story.accept();
  story.stop();
  story.fact(Fact::kUnbound);
  EXPECT_EQ(story.sanitizer.violations().front().rule, RuleId::kR1);
}

TEST(R1PrivateMmio, OfADeadVmReachesNobody) {
  Story story;
  story.bind();
  story.accept();
  story.fact(Fact::kVmDead);
  story.stop();
  story.fact(Fact::kTrustedDmaOff);
  story.fact(Fact::kUnbound);
  EXPECT_EQ(story.broken(), "");
}

}  // namespace
}  // namespace teeio::rules
