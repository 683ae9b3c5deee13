#include "host/pci_tsm/ide.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <utility>

#include "host/pci_tsm/ide_streams.h"
#include "hw/capabilities.h"
#include "hw/find_capability.h"
#include "hw/ide_port.h"
#include "hw/root_port.h"
#include "object/trace.h"
#include "unit/explore/both_orders.h"

namespace teeio::tsm {
namespace {

constexpr std::uint16_t kBlockBytes = 0x14 + 2 * 12;

/// An end point with two selective streams.
class IdeEndpoint final : public hw::PciFunction {
 public:
  IdeEndpoint() {
    hw::add_endpoint_header(config_, {.vendor = 0x1af4, .device = 1}, bars_);
    hw::add_pci_express(config_, {.tee_io = true});
    ide = std::make_unique<hw::IdePort>(config_, 2);
  }
  [[nodiscard]] Bdf bdf() const override { return Bdf{.bus = 1}; }
  std::uint32_t config_read(std::uint16_t offset, unsigned size) override {
    return config_.read(offset, size);
  }
  void config_write(std::uint16_t offset, unsigned size, std::uint32_t value) override {
    config_.write(offset, size, value);
    ide->registers_written();
  }
  [[nodiscard]] const std::array<hw::Bar, hw::kBarCount>& bars() const override { return bars_; }
  void reset(hw::ResetKind) override {}
  [[nodiscard]] hw::PciFunction* physical_function() override { return nullptr; }
  void attach(hw::DmaPort&) override {}

  [[nodiscard]] std::uint16_t reg(unsigned block, unsigned offset) const {
    return static_cast<std::uint16_t>(ide->offset() + 0x0c + block * kBlockBytes + offset);
  }
  [[nodiscard]] std::uint32_t control(unsigned block) { return config_read(reg(block, 4), 4); }
  void run_keys(std::size_t block) {
    const Bytes key(hw::IdePort::kKeyBytes);
    for (const auto direction :
         {hw::IdeKeySlot::Direction::kReceive, hw::IdeKeySlot::Direction::kTransmit})
      for (const auto sub_stream :
           {hw::IdeKeySlot::SubStream::kPosted, hw::IdeKeySlot::SubStream::kNonPosted,
            hw::IdeKeySlot::SubStream::kCompletion}) {
        const hw::IdeKeySlot slot{.direction = direction, .sub_stream = sub_stream};
        EXPECT_TRUE(ide->program_key(block, slot, key).has_value());
        EXPECT_TRUE(ide->go(block, slot).has_value());
      }
  }

  std::unique_ptr<hw::IdePort> ide;

 private:
  hw::ConfigSpace config_;
  std::array<hw::Bar, hw::kBarCount> bars_{};
};

/// The card's root port, with windows, and two streams of its own.
hw::RootPort::Options port_options(std::size_t streams) {
  return {.bdf = {.device = 1},
          .header = {.identity = {.vendor = 0x1efe, .device = 1},
                     .primary = 0,
                     .secondary = 1,
                     .subordinate = 1,
                     .memory = {.base = 0xe000'0000, .last = 0xe02f'ffff},
                     .io = {},
                     .prefetchable = {.base = 0x38'0000'0000, .last = 0x39'4fff'ffff}},
          .ide_streams = streams,
          .tee_io = true};
}

class Streams : public testing::Test {
 protected:
  [[nodiscard]] std::uint32_t port_reg(unsigned block, unsigned offset) {
    const auto at = hw::find_extended_capability(port, hw::kExtendedIde);
    return port.config_read(static_cast<std::uint16_t>(*at + 0x0c + block * kBlockBytes + offset),
                            4);
  }
  object::Trace trace;
  IdeEndpoint card;
  hw::RootPort port{trace, port_options(2)};
  IdeStreams streams;
};

// pci_ide_stream_to_regs(), set_ide_sel_ctl().
TEST_F(Streams, TheEndPointIsSetUpAsLinuxDoes) {
  card.config_write(card.reg(0, 0x14), 4, 0xffff'ff01);  // an address that somebody left
  IdeStream& stream = **streams.alloc(card, port);
  stream.endpoint.default_stream = true;
  set_up_stream(stream.endpoint, 7);
  // Stream ID, TEE-limited, default, configuration requests; not enabled.
  EXPECT_EQ(card.control(0), 0x07c00200U);
  EXPECT_EQ(card.config_read(card.reg(0, 0x0c), 4), 0x800U);
  EXPECT_EQ(card.config_read(card.reg(0, 0x10), 4), 0x801U);
  EXPECT_EQ(card.config_read(card.reg(0, 0x14), 4), 0U);
}

TEST_F(Streams, TheRootPortHasTheCardsRequestersAndItsOwnWindows) {
  IdeStream& stream = **streams.alloc(card, port);
  set_up_stream(stream.port, 7);
  EXPECT_EQ(port_reg(0, 0x04), 0x07800200U);
  EXPECT_EQ(port_reg(0, 0x0c), 0x0001'0000U);
  EXPECT_EQ(port_reg(0, 0x10), 0x0001'0001U);
  // PREP_PCI_IDE_SEL_ADDR1(): valid, base bits 31:20 at 19:8, limit bits 31:20 at 31:20.
  EXPECT_EQ(port_reg(0, 0x14), 0xe02e'0001U);
  EXPECT_EQ(port_reg(0, 0x18), 0U);
  EXPECT_EQ(port_reg(0, 0x1c), 0U);
  EXPECT_EQ(port_reg(0, 0x20), 0x4ff0'0001U);
  EXPECT_EQ(port_reg(0, 0x24), 0x39U);
  EXPECT_EQ(port_reg(0, 0x28), 0x38U);
  tear_down_stream(stream.port);
  for (unsigned at = 0x04; at < kBlockBytes; at += 4) EXPECT_EQ(port_reg(0, at), 0U) << at;
}

TEST_F(Streams, TakeTheFirstBlocksThatAreFree) {
  IdeStream* const first = *streams.alloc(card, port);
  IdeStream* const second = *streams.alloc(card, port);
  EXPECT_EQ(first->endpoint.block, 0U);
  EXPECT_EQ(second->endpoint.block, 1U);
  EXPECT_EQ(second->port.block, 1U);
  EXPECT_EQ(second->bridge_index, 1U);
  EXPECT_EQ(streams.available(0), 254U);
  EXPECT_EQ(streams.alloc(card, port).error().code, Errno::kNoMem);
  EXPECT_EQ(streams.available(0), 254U);
  streams.release(*first);
  EXPECT_EQ(streams.available(0), 255U);
  EXPECT_EQ((*streams.alloc(card, port))->endpoint.block, 0U);
}

TEST_F(Streams, ThatDoNotBecomeSecureLeaveTheBitToTheCaller) {
  IdeStream& stream = **streams.alloc(card, port);
  set_up_stream(stream.endpoint, 7);
  EXPECT_EQ(enable_stream(stream.endpoint, 7).error().code, Errno::kNxio);
  EXPECT_EQ(card.control(0) & 1U, 1U);
  disable_stream(stream.endpoint);
  EXPECT_EQ(card.control(0), 0U);
  set_up_stream(stream.endpoint, 7);
  card.run_keys(0);
  EXPECT_TRUE(enable_stream(stream.endpoint, 7).has_value());
  EXPECT_EQ(card.control(0), 0x07800201U);
  EXPECT_EQ(card.ide->state(0), hw::IdeStreamState::kEnabled);
  streams.release(stream);
  EXPECT_EQ(card.control(0), 0U);
  EXPECT_EQ(card.config_read(card.reg(0, 0x10), 4), 0U);
}

// pci_ide_stream_register(), tsm_ide_stream_register().
TEST_F(Streams, AnIdIsOneStreamsOfTheHostBridge) {
  IdeStream& first = **streams.alloc(card, port);
  IdeStream& second = **streams.alloc(card, port);
  EXPECT_TRUE(streams.links().empty());
  EXPECT_EQ(streams.enter(first, IdeStreams::kReservedId).error().code, Errno::kBusy);
  ASSERT_TRUE(streams.enter(first, 7).has_value());
  EXPECT_EQ(streams.enter(second, 7).error().code, Errno::kBusy);
  ASSERT_TRUE(streams.enter(second, 8).has_value());
  streams.enter_tsm(second, 3);
  const auto links = streams.links();
  ASSERT_EQ(links.size(), 2U);
  EXPECT_EQ(links[0].name, "stream0.0.0");
  EXPECT_EQ(links[0].tsm, std::nullopt);
  EXPECT_EQ(links[1].name, "stream1.1.1");
  EXPECT_EQ(links[1].tsm, 3U);
  streams.release(first);
  IdeStream& third = **streams.alloc(card, port);
  EXPECT_TRUE(streams.enter(third, 7).has_value());
}

// pci_ide_init(): what firmware left running is left alone, what is idle gets the reserved id.
TEST_F(Streams, ThatRunAtBootAreNobodyElses) {
  card.config_write(card.reg(0, 4), 4, 0x0900'0001);
  streams.arrive(card);
  EXPECT_EQ(card.control(0), 0x0900'0001U);
  EXPECT_EQ(card.control(1), 0xff00'0000U);
  IdeStream& stream = **streams.alloc(card, port);
  EXPECT_EQ(stream.endpoint.block, 1U);
  EXPECT_EQ(streams.enter(stream, 9).error().code, Errno::kBusy);
}

// pci_ide_set_nr_streams().
TEST_F(Streams, AHostBridgeMayHaveFewerOrNone) {
  EXPECT_EQ(streams.available(0), 256U);
  streams.set_pool(0, 1);
  ASSERT_TRUE(streams.alloc(card, port).has_value());
  EXPECT_EQ(streams.available(0), 0U);
  EXPECT_EQ(streams.alloc(card, port).error().code, Errno::kNoMem);
  streams.set_pool(1, 0);
  EXPECT_EQ(streams.available(1), std::nullopt);
}

/// Two streams' ends, and one stream.
struct OneStream {
  object::Trace trace;
  IdeEndpoint card;
  hw::RootPort port{trace, port_options(2)};
  IdeStreams streams;
  IdeStream& stream = **streams.alloc(card, port);
};

void as_it_is(OneStream&) {}

/// What `look` sees of a change at the same time, over all orders.
template <class Change, class Look>
std::set<int> seen_of(const Change& change, const Look& look,
                      void (*prepare)(OneStream&) = as_it_is) {
  return explore::test::ends([&] {
    OneStream one;
    prepare(one);
    int seen = -1;
    explore::test::together([&] { change(one); }, [&] { seen = look(one); });
    return seen;
  });
}

// Readers of sysfs come without pci_tsm_rwsem, and the lock here is no scheduling point.
TEST(StreamsInEveryOrder, AReaderComesBeforeOrAfterEachChange) {
  const auto free = [](OneStream& one) { return static_cast<int>(*one.streams.available(0)); };
  const auto links = [](OneStream& one) { return static_cast<int>(one.streams.links().size()); };
  const auto of_tsm = [](OneStream& one) { return one.streams.links().front().tsm ? 1 : 0; };
  const std::set<int> either{0, 1};
  EXPECT_EQ(seen_of([](OneStream& one) { one.streams.set_pool(0, 9); }, free),
            (std::set<int>{255, 8}));
  EXPECT_EQ(seen_of([](OneStream& one) { (void)one.streams.alloc(one.card, one.port); }, free),
            (std::set<int>{255, 254}));
  EXPECT_EQ(seen_of([](OneStream& one) { one.streams.release(one.stream); }, free),
            (std::set<int>{255, 256}));
  EXPECT_EQ(seen_of([](OneStream& one) { (void)one.streams.enter(one.stream, 7); }, links), either);
  EXPECT_EQ(seen_of([](OneStream& one) { one.streams.enter_tsm(one.stream, 3); }, of_tsm,
                    [](OneStream& one) { (void)one.streams.enter(one.stream, 7); }),
            either);
}

TEST(StreamsInEveryOrder, AnArrivalComesBeforeOrAfterAnIdIsTaken) {
  const auto taken = seen_of(
      [](OneStream& one) {
        one.card.config_write(one.card.reg(1, 4), 4, 0x0900'0001);
        one.streams.arrive(one.card);
      },
      [](OneStream& one) { return one.streams.enter(one.stream, 9) ? 1 : 0; });
  EXPECT_EQ(taken, (std::set<int>{0, 1}));
}

TEST(StreamsInEveryOrder, AFunctionLeavesBeforeOrAfterItsNextBlockIsTaken) {
  const auto block = seen_of([](OneStream& one) { one.streams.leave(one.card.bdf()); },
                             [](OneStream& one) {
                               const auto next = one.streams.alloc(one.card, one.port);
                               return static_cast<int>((*next)->endpoint.block);
                             });
  EXPECT_EQ(block, (std::set<int>{0, 1}));
}

TEST_F(Streams, NeedSelectiveStreamsAtBothEnds) {
  hw::RootPort without(trace, port_options(0));
  EXPECT_EQ(streams.alloc(card, without).error().code, Errno::kNoMem);
  EXPECT_EQ(streams.alloc(without, port).error().code, Errno::kNoMem);
  EXPECT_EQ(streams.available(0), 256U);
}

}  // namespace
}  // namespace teeio::tsm
