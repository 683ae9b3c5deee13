#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "hw/host_bridge.h"
#include "hw/interrupts.h"
#include "iommu_tables.h"
#include "schedule/mutex.h"

namespace teeio::hw {
namespace {

using object::DmaKind;
using object::Fact;
using test::IommuTables;

constexpr Bdf kPort{.domain = 0, .bus = 0, .device = 1, .function = 0};
constexpr Bdf kCard{.domain = 0, .bus = 1, .device = 0, .function = 0};
constexpr Bdf kOtherCard{.domain = 0, .bus = 1, .device = 0, .function = 1};
constexpr Iova kIova{0x4000'0000};
constexpr KeyId kTd{3};
constexpr std::uint16_t kDomain = 9;

class Card final : public PciFunction {
 public:
  explicit Card(Bdf bdf) : bdf_(bdf) {}
  Bdf bdf() const override { return bdf_; }
  std::uint32_t config_read(std::uint16_t, unsigned) override { return 0; }
  void config_write(std::uint16_t, unsigned, std::uint32_t) override {}
  const std::array<Bar, kBarCount>& bars() const override { return bars_; }
  void reset(ResetKind) override {}
  PciFunction* physical_function() override { return nullptr; }
  void attach(DmaPort& port) override { dma = &port; }
  DmaPort* dma = nullptr;

 private:
  const Bdf bdf_;
  const std::array<Bar, kBarCount> bars_{};
};

class Counter final : public InterruptHandler {
 public:
  void interrupt() override { ++count; }
  int count = 0;
};

class PlainBar final : public MmioTarget {
 public:
  void mmio_read(std::uint64_t, std::span<std::byte>) override {}
  void mmio_write(std::uint64_t, ByteView) override {}
  bool peer_write(std::uint64_t offset, ByteView in) override {
    if (memory.empty()) return false;
    std::ranges::copy(in, memory.begin() + static_cast<std::ptrdiff_t>(offset));
    return true;
  }
  Bytes memory;
};

class BusTest : public testing::Test {
 protected:
  BusTest() {
    bridge.add_root_port(port, iommu);
    bridge.add_function(card, iommu);
    bridge.add_function(other, iommu);
    trace.keep_events(true);
    iommu.set_root(TBit::kShared, shared.root());
    iommu.set_root(TBit::kTrusted, trusted.root());
  }

  static RootPort::Options port_options() {
    RootPort::Options options;
    options.bdf = kPort;
    options.header.secondary = options.header.subordinate = 1;
    options.ide_streams = 2;
    options.tee_io = true;
    return options;
  }

  /// Attaches kCard to `pages` pages from kIova on; gives the first.
  std::vector<Hpa> attach(IommuTables& tables, KeyId key, int pages = 1) {
    const Hpa stage = tables.page();
    tables.attach(kCard.rid(), stage, kDomain);
    std::vector<Hpa> mapped;
    for (int n = 0; n < pages; ++n) {
      mapped.push_back(*memory.alloc_page());
      memory.give_page(mapped.back(), key);
      tables.map(stage, kIova + static_cast<std::uint64_t>(n) * kPageSize, mapped.back());
    }
    last_stage = stage;
    return mapped;
  }

  void enable_stream(std::size_t block = 0) {
    ASSERT_TRUE(
        port.configure_stream(
                block,
                {.stream_id = 7, .rid_first = kCard.rid(), .rid_last = kCard.rid(), .memory = {}})
            .has_value());
    for (const auto slot : all_keys()) {
      ASSERT_TRUE(port.program_key(block, slot, Bytes(32, next_key())).has_value());
      ASSERT_TRUE(port.key_go(block, slot).has_value());
    }
    ASSERT_TRUE(port.enable_stream(block).has_value());
  }
  static std::vector<IdeKeySlot> all_keys(std::uint8_t set = 0) {
    using enum IdeKeySlot::Direction;
    using enum IdeKeySlot::SubStream;
    std::vector<IdeKeySlot> slots;
    for (const auto direction : {kReceive, kTransmit})
      for (const auto sub_stream : {kPosted, kNonPosted, kCompletion})
        slots.push_back({.key_set = set, .direction = direction, .sub_stream = sub_stream});
    return slots;
  }
  std::byte next_key() { return static_cast<std::byte>(++key_); }

  Result<void> write(TBit t, Iova address, ByteView bytes, Card* from = nullptr) {
    Card& sender = from == nullptr ? card : *from;
    return sender.dma->dma_write(sender.bdf().rid(), t, address, bytes);
  }
  std::vector<std::uint64_t> kinds() {
    std::vector<std::uint64_t> found;
    for (const auto& event : trace.events())
      if (event.fact == Fact::kDma) found.push_back(event.a);
    return found;
  }

  PhysicalMemory memory{std::uint64_t{512} * kPageSize};
  object::Trace trace;
  VtdIommu iommu{memory, trace, 0};
  InterruptRemapping interrupts;
  RootPort port{trace, port_options()};
  Card card{kCard}, other{kOtherCard};
  IommuTables shared{memory}, trusted{memory, KeyId{1}};
  HostBridge bridge{memory, trace, interrupts};
  Hpa last_stage{0};

 private:
  int key_ = 0;
};

const Bytes kWord = {std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};

TEST_F(BusTest, KnowsWhatIsBelowWhat) {
  EXPECT_EQ(bridge.find(kCard), &card);
  EXPECT_EQ(bridge.find({.domain = 1, .bus = 1}), nullptr);
  EXPECT_THAT(bridge.functions(), testing::ElementsAre(&port, &card, &other));
}

TEST_F(BusTest, SharedRequestGoesThroughTheIommuToScatteredPages) {
  const auto pages = attach(shared, KeyId::kShared, 3);
  memory.free_page(*memory.alloc_page());
  Bytes bytes(2 * kPageSize);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 13);
  ASSERT_TRUE(write(TBit::kShared, kIova + 100, bytes).has_value());
  Bytes back(bytes.size());
  ASSERT_TRUE(card.dma->dma_read(kCard.rid(), TBit::kShared, kIova + 100, back).has_value());
  EXPECT_EQ(back, bytes);
  Bytes middle(kPageSize);
  ASSERT_TRUE(memory.read(pages[1], middle).has_value());
  EXPECT_TRUE(std::equal(middle.begin(), middle.end(), bytes.begin() + (kPageSize - 100)));
}

TEST_F(BusTest, NothingIsTransferredBeyondTheLastGoodPage) {
  const auto pages = attach(shared, KeyId::kShared, 2);
  shared.set(shared.leaf(last_stage, kIova + kPageSize), 0);
  const std::uint64_t faults = iommu.fault_count();
  EXPECT_EQ(write(TBit::kShared, kIova + (kPageSize - 4), Bytes(8, std::byte{5})).error().code,
            Errno::kFault);
  EXPECT_EQ(*memory.read_u64(pages[0] + (kPageSize - 8)), 0x05050505'00000000U);
  EXPECT_EQ(*memory.read_u64(pages[1]), 0U);
  EXPECT_EQ(iommu.fault_count(), faults + 1);
}

TEST_F(BusTest, UnknownRequesterAndWrapAreRefused) {
  EXPECT_EQ(card.dma->dma_write(0x0500, TBit::kShared, kIova, kWord).error().code, Errno::kFault);
  EXPECT_EQ(write(TBit::kShared, Iova{~std::uint64_t{0}}, kWord).error().code, Errno::kFault);
}

TEST_F(BusTest, SharedRequestCannotReachAPrivatePage) {
  attach(shared, kTd);
  EXPECT_EQ(write(TBit::kShared, kIova, kWord).error().code, Errno::kFault);
  EXPECT_THAT(kinds(), testing::IsEmpty());
}

TEST_F(BusTest, TrustedRequestReachesItsTdWithTheDomainsKey) {
  const auto pages = attach(trusted, kTd);
  iommu.set_domain_key(TBit::kTrusted, kDomain, kTd);
  enable_stream();
  ASSERT_TRUE(write(TBit::kTrusted, kIova, kWord).has_value());
  EXPECT_EQ(*memory.read_u64(pages[0], kTd), 0x04030201U);
}

TEST_F(BusTest, TrustedRequestCannotReachAnotherTdOrSharedMemory) {
  const auto pages = attach(trusted, KeyId{4});
  iommu.set_domain_key(TBit::kTrusted, kDomain, kTd);
  enable_stream();
  EXPECT_EQ(write(TBit::kTrusted, kIova, kWord).error().code, Errno::kFault);
  memory.give_page(pages[0], KeyId::kShared);
  EXPECT_EQ(write(TBit::kTrusted, kIova, kWord).error().code, Errno::kFault);
  EXPECT_THAT(kinds(), testing::IsEmpty());
}

// What a TD's own table has in its shared half is the host's memory.
TEST_F(BusTest, TrustedRequestToTheSharedHalfReachesSharedMemory) {
  const auto pages = attach(trusted, KeyId::kShared);
  iommu.set_domain_key(TBit::kTrusted, kDomain, kTd, kIova);
  enable_stream();
  ASSERT_TRUE(write(TBit::kTrusted, kIova, kWord).has_value());
  EXPECT_EQ(*memory.read_u64(pages[0]), 0x04030201U);
  EXPECT_THAT(kinds(),
              testing::ElementsAre(static_cast<std::uint64_t>(DmaKind::kTrustedToSharedHalf)));
  iommu.set_domain_key(TBit::kTrusted, kDomain, kTd, kIova + kPageSize);
  EXPECT_EQ(write(TBit::kTrusted, kIova, kWord).error().code, Errno::kFault);
}

TEST_F(BusTest, TrustedRequestNeedsAnEnabledStreamThatHasItsRequester) {
  attach(trusted, kTd);
  iommu.set_domain_key(TBit::kTrusted, kDomain, kTd);
  EXPECT_EQ(write(TBit::kTrusted, kIova, kWord).error().why, "no IDE stream has this requester");
  ASSERT_TRUE(
      port.configure_stream(0, {.rid_first = kCard.rid(), .rid_last = kCard.rid(), .memory = {}})
          .has_value());
  EXPECT_EQ(write(TBit::kTrusted, kIova, kWord).error().why, "the IDE stream is not enabled");
  ASSERT_TRUE(port.release_stream(0).has_value());
  enable_stream();
  EXPECT_TRUE(write(TBit::kTrusted, kIova, kWord).has_value());
  EXPECT_EQ(write(TBit::kTrusted, kIova, kWord, &other).error().code, Errno::kIo);
}

// In the order of HostBridge's way: each is asked only when the one before lets the request on.
TEST_F(BusTest, TrustedRequestMeetsItsStreamThenTablesThenThePagesOwner) {
  const auto pages = attach(trusted, KeyId{4});  // another TD's
  const Iova unmapped = kIova + 16 * kPageSize;
  EXPECT_EQ(write(TBit::kTrusted, unmapped, kWord).error().code, Errno::kIo);
  EXPECT_EQ(iommu.fault_count(), 0U) << "no stream has it: no table was looked at";
  enable_stream();
  EXPECT_EQ(write(TBit::kTrusted, kIova, kWord).error().code, Errno::kFault);
  EXPECT_EQ(iommu.fault_count(), 1U) << "its domain has no key";
  iommu.set_domain_key(TBit::kTrusted, kDomain, kTd);
  EXPECT_EQ(write(TBit::kTrusted, unmapped, kWord).error().code, Errno::kFault);
  EXPECT_EQ(iommu.fault_count(), 2U);
  EXPECT_EQ(write(TBit::kTrusted, kIova, kWord).error().code, Errno::kFault);
  EXPECT_EQ(iommu.fault_count(), 2U) << "translated: memory has refused it";
  memory.give_page(pages[0], kTd);
  EXPECT_TRUE(write(TBit::kTrusted, kIova, kWord).has_value());
}

TEST_F(BusTest, BlockedStreamRefusesTrustedRequestsAndLetsSharedOnesPass) {
  attach(trusted, kTd);
  attach(shared, KeyId::kShared);
  iommu.set_domain_key(TBit::kTrusted, kDomain, kTd);
  enable_stream();
  ASSERT_TRUE(port.block_stream(0).has_value());
  const auto refused = write(TBit::kTrusted, kIova, kWord);
  EXPECT_EQ(refused.error().code, Errno::kIo);
  EXPECT_EQ(refused.error().why, "the IDE stream is blocked");
  EXPECT_TRUE(write(TBit::kShared, kIova, kWord).has_value());
}

TEST_F(BusTest, DmaIsToldOnceUntilSomethingChanges) {
  attach(trusted, kTd);
  attach(shared, KeyId::kShared);
  iommu.set_domain_key(TBit::kTrusted, kDomain, kTd);
  enable_stream();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(write(TBit::kShared, kIova, kWord).has_value());
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(write(TBit::kTrusted, kIova, kWord).has_value());
  EXPECT_THAT(kinds(), testing::ElementsAre(1, 2));
  iommu.invalidate_domain(TBit::kTrusted, kDomain);
  ASSERT_TRUE(write(TBit::kTrusted, kIova, kWord).has_value());
  ASSERT_TRUE(port.block_stream(0).has_value());
  ASSERT_TRUE(port.release_stream(0).has_value());
  enable_stream();
  ASSERT_TRUE(write(TBit::kTrusted, kIova, kWord).has_value());
  EXPECT_THAT(kinds(), testing::ElementsAre(1, 2, 2, 2));
  EXPECT_EQ(trace.events().back().c, 3U);
  EXPECT_EQ(trace.events().back().function, kCard);
}

TEST_F(BusTest, PeerToPeerReachesPlainMemoryOnlyAndOnlyAsShared) {
  iommu.set_root(TBit::kShared, std::nullopt);
  PlainBar bar;
  bar.memory.resize(kPageSize);
  constexpr Hpa kBar{0xe000'0000};
  ASSERT_TRUE(memory.claim_mmio(kBar, kPageSize, bar).has_value());
  ASSERT_TRUE(write(TBit::kShared, Iova{raw(kBar) + 8}, kWord).has_value());
  EXPECT_EQ(bar.memory[9], std::byte{2});
  bar.memory.clear();
  EXPECT_EQ(write(TBit::kShared, Iova{raw(kBar)}, kWord).error().code, Errno::kFault);
}

TEST_F(BusTest, InterruptMessageReachesItsHandlerWithoutTranslation) {
  Counter counter;
  const auto message = *interrupts.connect(kCard.rid(), counter);
  ASSERT_TRUE(write(TBit::kShared, Iova{message.address}, bytes_of(message.data)).has_value());
  EXPECT_EQ(counter.count, 1);
  EXPECT_EQ(iommu.fault_count(), 0U);
  interrupts.disconnect(message);
  ASSERT_TRUE(write(TBit::kShared, Iova{message.address}, bytes_of(message.data)).has_value());
  EXPECT_EQ(counter.count, 1);
  EXPECT_EQ(interrupts.blocked(), 1U);
}

TEST_F(BusTest, InterruptMessageOfAnotherFunctionIsBlocked) {
  Counter counter;
  const auto message = *interrupts.connect(kCard.rid(), counter);
  ASSERT_TRUE(
      write(TBit::kShared, Iova{message.address}, bytes_of(message.data), &other).has_value());
  EXPECT_EQ(counter.count, 0);
  EXPECT_EQ(interrupts.blocked(), 1U);
  // Compatibility format: the remappable bit is clear.
  ASSERT_TRUE(write(TBit::kShared, kInterruptRangeStart, bytes_of(message.data)).has_value());
  EXPECT_EQ(interrupts.blocked(), 2U);
  interrupts.disconnect(message);
}

TEST_F(BusTest, InterruptMessageOfAnotherSizeIsRefused) {
  EXPECT_EQ(write(TBit::kShared, kInterruptRangeStart, Bytes(8)).error().code, Errno::kFault);
  Bytes out(4);
  EXPECT_EQ(card.dma->dma_read(kCard.rid(), TBit::kShared, kInterruptRangeStart, out).error().code,
            Errno::kFault);
}

// A gigabyte page maps the interrupt range too, but no request gets there.
TEST_F(BusTest, LargePageDoesNotReachIntoTheInterruptRange) {
  const Hpa stage = shared.page();
  shared.attach(kCard.rid(), stage, kDomain);
  shared.map(stage, Iova{0xc000'0000}, Hpa{0x1'0000'0000}, 30);
  const auto found = iommu.translate(kCard.rid(), TBit::kShared,
                                     Iova{raw(kInterruptRangeStart) - 16}, DmaAccess::kWrite);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->contiguous_bytes, 16U);
}

// A device sends with its own lock held, and VFIO's handler wakes a program.
TEST_F(BusTest, RequestsAndInterruptsKeepTheLockOrder) {
  class Waker final : public InterruptHandler {
   public:
    void interrupt() override { const schedule::Lock lock(mutex); }
    schedule::Mutex mutex{schedule::Rank::kMm};
  };
  attach(trusted, kTd);
  iommu.set_domain_key(TBit::kTrusted, kDomain, kTd);
  enable_stream();
  Waker waker;
  const auto message = *interrupts.connect(kCard.rid(), waker);
  schedule::Mutex device{schedule::Rank::kDevice};
  {
    const schedule::Lock lock(device);
    EXPECT_TRUE(write(TBit::kTrusted, kIova, kWord).has_value());
    EXPECT_TRUE(write(TBit::kShared, Iova{message.address}, bytes_of(message.data)).has_value());
  }
  interrupts.disconnect(message);
}

TEST(InterruptRemapping, LowestFreeEntryIsReused) {
  InterruptRemapping interrupts;
  Counter counter;
  const auto first = *interrupts.connect(1, counter);
  const auto second = *interrupts.connect(1, counter);
  EXPECT_NE(first.address, second.address);
  interrupts.disconnect(first);
  EXPECT_EQ(interrupts.connect(1, counter)->address, first.address);
}

}  // namespace
}  // namespace teeio::hw
