#include <gtest/gtest.h>

#include "base/check.h"
#include "device/bar_targets.h"
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
    const schedule::Atomic<bool> enabled(true);
    Tdi tdi(trace, {0, 1, 0, 0}, function);
    PlainMemoryTarget trusted(function.memory, enabled, &tdi, hw::TBit::kTrusted);
    PlainMemoryTarget shared(function.memory, enabled, &tdi, hw::TBit::kShared);
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
    const schedule::Atomic<bool> enabled(true);
    PlainMemoryTarget bar(memory, enabled, nullptr, hw::TBit::kShared);
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

}  // namespace
}  // namespace teeio::device
