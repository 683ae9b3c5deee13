#include <gtest/gtest.h>

#include "base/check.h"
#include "device/bar_targets.h"
#include "device/dma_engine_card.h"
#include "explore/dpor.h"
#include "hw/capabilities.h"
#include "hw/find_capability.h"
#include "schedule/task.h"
#include "unit/schedule/explored.h"

namespace teeio::device {
namespace {

constexpr std::uint32_t kSecret = 0x5ec2e7;

class MemoryFunction final : public TdiFunction {
 public:
  std::vector<wire::TdispMmioRange> mmio_ranges(bool /*msix_locked*/) const override { return {}; }
  std::uint16_t msix_message_control() const override { return 0; }
  std::optional<std::string_view> configuration_fault() const override { return std::nullopt; }
  void scrub() override { memory.zero(); }
  PlainMemory memory{4096};
};

// A guest's write, STOP_INTERFACE and a host's read, in every order.
TEST(StopRace, NoSharedReadSeesWhatATrustedWriteLeft) {
  const auto result = test::expect_sound([] {
    object::Trace trace;
    MemoryFunction function;
    const schedule::Word<bool> enabled(true);
    Tdi tdi(trace, {0, 1, 0, 0}, function);
    const MmioLayout layout({}, 0, {.bar = 4, .table_offset = 0, .pba_offset = 0}, {});
    const TdiBar bar{tdi, layout, 0};
    PlainMemoryTarget trusted(function.memory, enabled, bar, hw::TBit::kTrusted);
    PlainMemoryTarget shared(function.memory, enabled, bar, hw::TBit::kShared);
    TEEIO_CHECK(tdi.start(tdi.lock({}, 0).value()).has_value(), "the TDI runs");

    schedule::Task guest =
        schedule::Task::spawn("guest", [&] { trusted.mmio_write(0, bytes_of(kSecret)); });
    schedule::Task stop = schedule::Task::spawn("stop", [&] { tdi.stop(); });
    std::uint32_t seen = 0;
    shared.mmio_read(0, writable_bytes_of(seen));
    TEEIO_CHECK(seen != kSecret, "the host read what the guest wrote");
    guest.join();
    stop.join();
    shared.mmio_read(0, writable_bytes_of(seen));
    TEEIO_CHECK(seen == 0, "something is left after STOP");
  });
  EXPECT_GT(result.schedules, 10U);
}

// Another card's DMA, while a program maps the BAR and its mapping is revoked.
TEST(PlainMemoryRace, APeersWriteIsNotLostWhileTheBytesMove) {
  const auto result = test::expect_sound([] {
    PlainMemory memory(64);
    const schedule::Word<bool> enabled(true);
    PlainMemoryTarget bar(memory, enabled, std::nullopt, hw::TBit::kShared);
    Bytes pages(64);
    schedule::Task program = schedule::Task::spawn("program", [&] {
      memory.relocate(pages);
      memory.relocate({});
    });
    TEEIO_CHECK(bar.peer_write(8, bytes_of(kSecret)), "memory answers a peer");
    std::uint32_t seen = 0;
    TEEIO_CHECK(bar.peer_read(8, writable_bytes_of(seen)), "memory answers a peer");
    TEEIO_CHECK(seen == kSecret, "the write is gone");
    program.join();
    bar.mmio_read(8, writable_bytes_of(seen));
    TEEIO_CHECK(seen == kSecret, "the write is gone after the move");
  });
  EXPECT_GT(result.schedules, 5U);
}

/// What a task does to a function whose DOE mailbox takes words at `mailbox`.
using Act = void (*)(hw::PciFunction& function, std::uint16_t mailbox);

/// How many orders of two tasks at a card are not the same.
std::uint64_t orders_of(Act first, Act second) {
  explore::Dpor strategy;
  const auto body = [&] {
    object::Trace trace;
    DmaEngineCard card(trace, {.pf = {0, 1, 0, 0}, .vfs = 1});
    hw::PciFunction& function = *card.functions().front();
    constexpr std::uint16_t kWriteMailbox = 0x10;
    const auto mailbox = static_cast<std::uint16_t>(
        hw::find_extended_capability(function, hw::kExtendedDoe).value() + kWriteMailbox);
    schedule::Task one = schedule::Task::spawn("one", [&] { first(function, mailbox); });
    schedule::Task two = schedule::Task::spawn("two", [&] { second(function, mailbox); });
    one.join();
    two.join();
  };
  const auto result = explore::run_schedules(strategy, body, test::kEnough, {});
  if (result.bad) ADD_FAILURE() << explore::to_text(*result.bad);
  EXPECT_TRUE(result.exhausted);
  return result.schedules;
}

// Orders that differ in nothing are not explored: what a card's locks are split for.
TEST(CardLocks, LetReadsAndTheWordsOfAnExchangeBeWhereTheyDoNotMeet) {
  const Act read = [](hw::PciFunction& f, std::uint16_t) { (void)f.config_read(hw::kCommand, 2); };
  const Act write = [](hw::PciFunction& f, std::uint16_t) { f.config_write(hw::kCommand, 2, 0); };
  const Act bar = [](hw::PciFunction& f, std::uint16_t) {
    f.config_write(hw::kFirstBar, 4, 0xffff'ffff);
  };
  const Act words = [](hw::PciFunction& f, std::uint16_t mailbox) {
    for (int i = 0; i < 3; ++i) f.config_write(mailbox, 4, 0x0002'0001);
  };
  const Act reset = [](hw::PciFunction& f, std::uint16_t) {
    f.reset(hw::ResetKind::kFunctionLevel);
  };
  EXPECT_EQ(orders_of(read, read), 1U);
  EXPECT_EQ(orders_of(read, write), 2U);
  EXPECT_EQ(orders_of(read, bar), 1U);
  EXPECT_EQ(orders_of(read, words), 1U);
  EXPECT_EQ(orders_of(write, words), 1U);
  EXPECT_EQ(orders_of(reset, words), 4U);  // before, after and between three words
}

}  // namespace
}  // namespace teeio::device
