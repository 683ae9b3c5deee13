#include "unit/rules/story.h"

namespace teeio::rules {
namespace {

using object::Fact;
using object::HostTouch;

constexpr auto kReset = static_cast<std::uint64_t>(HostTouch::kReset);
constexpr auto kRead = static_cast<std::uint64_t>(HostTouch::kRead);

TEST(R4HostAccess, IsFreeBeforeBindAndAfterUnbind) {
  Story story;
  story.fact(Fact::kHostMapped, {.a = 2});
  story.fact(Fact::kHostMapRevoked, {.a = 2});
  story.bind();
  story.accept();
  story.unbind();
  story.fact(Fact::kHostTouched, {.a = kReset});
  story.fact(Fact::kDeviceReset);
  story.fact(Fact::kHostMapped, {.a = 2});
  EXPECT_EQ(story.broken(), "");
}

TEST(R4HostAccess, ALiveMappingAtBindIsABreach) {
  Story story;
  story.fact(Fact::kHostMapped, {.a = 2});
  story.bind();
  EXPECT_EQ(story.only().what, "0000:01:00.1: bound to VM 1 while BAR2 is mapped by a program");
}

TEST(R4HostAccess, AMappingWhileBoundIsABreach) {
  Story story;
  story.bind();
  story.fact(Fact::kHostMapped, {.a = 0});
  EXPECT_EQ(story.only().rule, RuleId::kR4);
}

TEST(R4HostAccess, APollingHostIsReportedOnceABinding) {
  Story story;
  story.bind();
  for (int i = 0; i < 3; ++i) story.fact(Fact::kHostTouched, {.a = kRead});
  EXPECT_EQ(story.broken(), "R4");
  story.stop();
  story.free();
  story.bind();
  story.fact(Fact::kHostTouched, {.a = kRead});
  EXPECT_EQ(story.broken(), "R4 R4");
}

// Who is bound or not: the mailbox is the TSM's from connect to disconnect, as whoever tells it
// knows.
TEST(R4HostAccess, AMailboxWithTwoOwnersIsReportedOnce) {
  Story story;
  constexpr auto kMailbox = static_cast<std::uint64_t>(HostTouch::kMailbox);
  for (int i = 0; i < 3; ++i) story.fact(Fact::kHostTouched, {.a = kMailbox});
  EXPECT_EQ(story.broken(), "R4");
  story.bind();
  story.fact(Fact::kHostTouched, {.a = kMailbox});
  EXPECT_EQ(story.broken(), "R4");
  EXPECT_NE(violation_text(story.only()).find("its DOE mailbox written by a program"),
            std::string::npos);
}

TEST(R4HostAccess, SaysWhoDidIt) {
  Story story;
  story.bind();
  const object::OriginScope scope({.pid = 7, .tid = 8, .fd = 5, .call = "VFIO_DEVICE_RESET"});
  story.fact(Fact::kHostTouched, {.a = kReset});
  EXPECT_NE(
      violation_text(story.only()).find("by process 7, thread 8, in VFIO_DEVICE_RESET on fd 5"),
      std::string::npos);
}

TEST(R10GiveBack, AnUnboundTdiIsUnlocked) {
  Story story;
  story.bind();
  story.fact(Fact::kMetadataRemoved);
  story.fact(Fact::kUnbound);
  EXPECT_NE(story.broken().find("R10"), std::string::npos);
}

TEST(R10GiveBack, TrustedDmaIsOffAfterUnbind) {
  Story story;
  story.bind();
  story.fact(Fact::kTrustedDmaOn);
  story.stop();
  story.fact(Fact::kUnbound);
  EXPECT_EQ(story.only().rule, RuleId::kR10);
}

TEST(R10GiveBack, ABlockedDeviceMayRecoverLater) {
  Story story;
  story.bind();
  story.tdi(kTdiLocked, kTdiError);
  story.fact(Fact::kStreamBlocked);
  story.free();
  story.tdi(kTdiError, kTdiUnlocked);
  story.sanitizer.finish();
  EXPECT_EQ(story.broken(), "");
}

TEST(R10GiveBack, ABlockedDeviceThatNeverRecoversIsReportedAtTheEnd) {
  Story story;
  story.bind();
  story.tdi(kTdiLocked, kTdiError);
  story.fact(Fact::kStreamBlocked);
  story.free();
  EXPECT_EQ(story.broken(), "");
  story.sanitizer.finish();
  EXPECT_EQ(story.broken(), "R10");
}

}  // namespace
}  // namespace teeio::rules
