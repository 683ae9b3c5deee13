#include "hw/doe_mailbox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

namespace teeio::hw {
namespace {

using testing::ElementsAre;

constexpr std::uint16_t kCapabilities = 4, kControl = 8, kStatus = 0xc, kWrite = 0x10, kRead = 0x14;
constexpr std::uint32_t kAbort = 1, kInterruptEnable = 2, kGo = 0x80000000;
constexpr std::uint32_t kBusy = 1, kInterruptStatus = 2, kError = 4, kReady = 0x80000000;

/// Answers with the object's words, each plus one; type 0xff is not supported.
class Echo final : public DoeHandler {
 public:
  Bytes handle(ByteView object) override {
    ++calls;
    if (meanwhile) meanwhile();
    Reader in(object);
    Writer out;
    if ((in.le<std::uint32_t>() >> 16U & 0xffU) == 0xff) return {};
    out.le(std::uint32_t{0x00020001});
    while (!in.rest().empty()) out.le(in.le<std::uint32_t>() + 1);
    return out.take();
  }
  void mailbox_interrupt() override { ++interrupts; }
  bool is_late() override { return late; }
  bool late = false;
  std::function<void()> meanwhile;
  int calls = 0;
  int interrupts = 0;
};

class DoeMailboxTest : public testing::Test {
 protected:
  std::uint32_t get(std::uint16_t at, unsigned size = 4) {
    return mailbox.read(static_cast<std::uint16_t>(mailbox.offset() + at), size);
  }
  void put(std::uint16_t at, std::uint32_t value, unsigned size = 4) {
    mailbox.write(static_cast<std::uint16_t>(mailbox.offset() + at), size, value);
  }
  void send(std::initializer_list<std::uint32_t> words) {
    for (const std::uint32_t word : words) put(kWrite, word);
    put(kControl, kGo);
  }
  std::vector<std::uint32_t> receive() {
    std::vector<std::uint32_t> words;
    while ((get(kStatus) & kReady) != 0) {
      words.push_back(get(kRead));
      put(kRead, 0);
    }
    return words;
  }

  ConfigSpace config;
  Echo echo;
  DoeMailbox mailbox{config, echo, 5};
};

TEST_F(DoeMailboxTest, ObjectIsExchangedWordByWord) {
  send({0x00020001, 4, 10, 20});
  EXPECT_EQ(get(kStatus) & (kBusy | kError), 0U);
  EXPECT_THAT(receive(), ElementsAre(0x00020001, 5, 11, 21));
  EXPECT_EQ(get(kStatus) & kReady, 0U);
  EXPECT_EQ(get(kRead), 0U);
}

TEST_F(DoeMailboxTest, ALateAnswerIsThereAfterMoreLooksThanLinuxTakes) {
  constexpr unsigned kLinuxLooks = 128;  // drivers/pci/doe.c: PCI_DOE_TIMEOUT by its interval
  echo.late = true;
  put(kControl, kInterruptEnable);
  for (const std::uint32_t word : {0x00020001U, 4U, 10U, 20U}) put(kWrite, word);
  put(kControl, kGo | kInterruptEnable);
  unsigned looks = 1;
  while (get(kStatus) == kBusy) ++looks;
  EXPECT_EQ(looks, DoeMailbox::kLateLooks);
  EXPECT_GT(looks, kLinuxLooks);
  EXPECT_EQ(echo.interrupts, 0);
  EXPECT_THAT(receive(), ElementsAre(0x00020001, 5, 11, 21));
}

TEST_F(DoeMailboxTest, AnAbortThrowsALateAnswerAwayAndDoesNotHastenIt) {
  echo.late = true;
  send({0x00020001, 4, 10, 20});
  echo.late = false;
  put(kControl, kAbort);
  EXPECT_EQ(get(kStatus), kBusy);
  send({0x00020001, 4, 30, 40});  // nobody takes it
  while (get(kStatus) == kBusy) continue;
  EXPECT_EQ(get(kStatus), 0U);
  EXPECT_EQ(echo.calls, 1);
  send({0x00020001, 4, 50, 60});
  EXPECT_THAT(receive(), ElementsAre(0x00020001, 5, 51, 61));
}

TEST_F(DoeMailboxTest, ReadingAloneDoesNotTakeAWordAway) {
  send({0x00020001, 3, 10});
  EXPECT_EQ(get(kRead), 0x00020001U);
  EXPECT_EQ(get(kRead), 0x00020001U);
  EXPECT_EQ(get(kRead + 2, 2), 2U);
}

TEST_F(DoeMailboxTest, UnsupportedTypeGetsNoAnswerAndNoError) {
  send({0x00ff0001, 2});
  EXPECT_EQ(get(kStatus), 0U);
}

TEST_F(DoeMailboxTest, WrongLengthIsAnErrorUntilAbort) {
  send({0x00020001, 4, 10});
  EXPECT_EQ(get(kStatus) & (kError | kReady), kError);
  EXPECT_EQ(echo.calls, 0);
  send({0x00020001, 2});
  EXPECT_EQ(echo.calls, 0);
  put(kControl, kAbort);
  EXPECT_EQ(get(kStatus) & kError, 0U);
  send({0x00020001, 2});
  EXPECT_EQ(receive().size(), 2U);
}

TEST_F(DoeMailboxTest, GoWithoutAnObjectIsAnError) {
  put(kControl, kGo);
  EXPECT_EQ(get(kStatus) & kError, kError);
}

TEST_F(DoeMailboxTest, NewObjectBeforeTheAnswerIsReadIsAnError) {
  send({0x00020001, 2});
  send({0x00020001, 2});
  EXPECT_EQ(get(kStatus) & kError, kError);
  EXPECT_EQ(echo.calls, 1);
}

TEST_F(DoeMailboxTest, AbortForgetsAHalfWrittenObjectAndAHalfReadAnswer) {
  put(kWrite, 0x00020001);
  put(kControl, kAbort);
  send({0x00020001, 2});
  EXPECT_EQ(echo.calls, 1);
  put(kControl, kAbort);
  EXPECT_EQ(get(kStatus) & kReady, 0U);
}

TEST_F(DoeMailboxTest, NarrowWritesAreIgnored) {
  put(kWrite, 0x0001, 2);
  put(kControl, 0x80, 1);
  EXPECT_EQ(get(kStatus), 0U);
  send({0x00020001, 2});
  EXPECT_EQ(echo.calls, 1);
  put(kRead, 0, 1);
  EXPECT_EQ(receive().size(), 2U);
}

TEST_F(DoeMailboxTest, IsBusyWhileAnObjectIsHandledAndTakesNoWordThen) {
  std::uint32_t status = 0;
  echo.meanwhile = [&] {
    status = get(kStatus);
    put(kWrite, 0x00020001);
  };
  send({0x00020001, 2});
  EXPECT_EQ(status, kBusy);
  EXPECT_EQ(receive().size(), 2U);
  echo.meanwhile = {};
  send({0x00020001, 2});
  EXPECT_EQ(get(kStatus), kReady);
}

TEST_F(DoeMailboxTest, LongestObjectHasLengthZeroAndOneWordMoreIsAnError) {
  put(kWrite, 0x00020001);
  put(kWrite, 0);
  for (std::size_t n = 2; n < DoeMailbox::kMaxWords; ++n) put(kWrite, 0);
  put(kControl, kGo);
  EXPECT_EQ(echo.calls, 1);
  put(kControl, kAbort);
  put(kWrite, 0x00020001);
  for (std::size_t n = 1; n <= DoeMailbox::kMaxWords; ++n) put(kWrite, 0);
  put(kControl, kGo);
  EXPECT_EQ(echo.calls, 1);
  EXPECT_EQ(get(kStatus) & kError, kError);
}

TEST_F(DoeMailboxTest, InterruptComesWithAnAnswerOrErrorWhenEnabled) {
  EXPECT_EQ(config.read(static_cast<std::uint16_t>(mailbox.offset() + kCapabilities), 4),
            5U << 1U | 1U);
  send({0x00020001, 2});
  EXPECT_EQ(echo.interrupts, 0);
  EXPECT_EQ(get(kStatus) & kInterruptStatus, 0U) << "without the enable there is no status";
  (void)receive();
  put(kControl, kInterruptEnable);
  EXPECT_EQ(get(kControl), kInterruptEnable);
  put(kWrite, 0x00020001);
  put(kWrite, 2);
  put(kControl, kGo | kInterruptEnable);
  EXPECT_EQ(echo.interrupts, 1);
  EXPECT_EQ(get(kStatus) & kInterruptStatus, kInterruptStatus);
  (void)receive();
  put(kControl, kGo | kInterruptEnable);
  EXPECT_EQ(get(kStatus) & kError, kError);
  EXPECT_EQ(echo.interrupts, 1) << "the status is still set";
  put(kStatus, kInterruptStatus);
  EXPECT_EQ(get(kStatus) & kInterruptStatus, 0U);
  put(kControl, kAbort | kInterruptEnable);
  put(kControl, kGo | kInterruptEnable);
  EXPECT_EQ(echo.interrupts, 2);
}

TEST_F(DoeMailboxTest, MailboxWithoutInterruptsAnnouncesNone) {
  ConfigSpace other;
  const DoeMailbox plain(other, echo);
  EXPECT_EQ(other.read(static_cast<std::uint16_t>(plain.offset() + kCapabilities), 4), 0U);
}

}  // namespace
}  // namespace teeio::hw
