// Posted writes of a function stay in order, and nothing of it passes them: PCIe Base Spec 2.4.1.

#include <gtest/gtest.h>

#include <algorithm>

#include "base/check.h"
#include "dma_card.h"
#include "hw/host_bridge.h"
#include "hw/vtd/vtd_iommu.h"
#include "iommu_tables.h"
#include "schedule/monitor.h"
#include "schedule/races.h"
#include "schedule/task.h"
#include "unit/schedule/explored.h"

namespace teeio::hw {
namespace {

constexpr Bdf kPoster = test::DmaCard::kBdf;
constexpr Iova kPostedTo{0x4000'0000};
constexpr std::uint16_t kPostersDomain = 9;

/// A function with two pages of memory that follow each other, and what an interrupt of its finds
/// in the first.
class Posting final : public InterruptSink {
 public:
  Posting() {
    bridge.add_function(card, iommu);
    const Hpa stage = tables.page();
    tables.attach(kPoster.rid(), stage, kPostersDomain);
    for (Hpa& page : pages) page = *memory.alloc_page();
    for (std::size_t n = 0; n < pages.size(); ++n)
      tables.map(stage, kPostedTo + n * kPageSize, pages[n]);
    iommu.set_root(TBit::kShared, tables.root());
  }

  void message_signalled(std::uint16_t, std::uint64_t, std::uint32_t) override { found = bytes(); }
  bool intx(std::uint16_t, bool) override {
    found = bytes();
    return false;
  }

  // In a section of the card:
  Result<void> write(std::uint64_t value, Iova at = kPostedTo) {
    return card.dma->dma_write(kPoster.rid(), TBit::kShared, at, bytes_of(value));
  }
  std::uint64_t read() {
    std::uint64_t value = 0;
    (void)card.dma->dma_read(kPoster.rid(), TBit::kShared, kPostedTo, writable_bytes_of(value));
    return value;
  }

  /// What is in memory.
  std::uint64_t bytes() { return *memory.read_u64(pages[0]); }
  bool has_lost_one() const {
    return std::ranges::any_of(trace.events(), [](const object::Event& event) {
      return event.name == "posted write" && event.refused;
    });
  }

  PhysicalMemory memory{std::uint64_t{64} * kPageSize};
  object::Trace trace;
  VtdIommu iommu{memory, trace, 0};
  HostBridge bridge{memory, trace, *this};
  test::DmaCard card;
  test::IommuTables tables{memory};
  std::array<Hpa, 2> pages{};
  schedule::Monitor lock{schedule::Rank::kDevice};
  std::uint64_t found = 0;
};

TEST(PostedWrites, AreOnTheirWayWhenTheirSectionEnds) {
  bool seen_before = false;
  teeio::test::expect_sound([&] {
    Posting function;
    const schedule::Section section(function.lock);
    (void)function.write(1);
    seen_before = function.bytes() == 0;
  });
  EXPECT_TRUE(seen_before);
}

TEST(PostedWrites, AreAheadOfAReadAMessageAndIntx) {
  teeio::test::expect_sound([] {
    Posting function;
    const schedule::Section section(function.lock);
    (void)function.write(1);
    TEEIO_CHECK(function.read() == 1, "a read passes a write");
    (void)function.write(2);
    (void)function.card.dma->dma_write(kPoster.rid(), TBit::kShared, kInterruptRangeStart,
                                       bytes_of(std::uint32_t{0}));
    TEEIO_CHECK(function.found == 2, "an MSI passes a write");
    (void)function.write(3);
    (void)function.card.dma->intx(kPoster.rid(), true);
    TEEIO_CHECK(function.found == 3, "Assert_INTA passes a write");
  });
}

TEST(PostedWrites, AreAheadOfACompletionInEveryOrder) {
  bool met = false;
  teeio::test::expect_sound([&] {
    Posting function;
    bool sent = false;
    auto device = schedule::Task::spawn("device", [&] {
      const schedule::Section section(function.lock);
      (void)function.write(1);
      sent = true;
    });
    {
      const schedule::Section section(function.lock);
      met = met || (sent && function.bytes() == 0);
      (void)function.card.dma->dma_read(kPoster.rid(), TBit::kShared, Iova{0}, {});
      TEEIO_CHECK(!sent || function.bytes() == 1, "a completion passes a write");
    }
    device.join();
  });
  EXPECT_TRUE(met);
}

// A DOE mailbox's word is read in a section of the mailbox's, and its completion leaves after it.
TEST(PostedWrites, ArriveOnceWhenACompletionPushesThemAfterASection) {
  bool met = false;
  teeio::test::expect_sound([&] {
    Posting function;
    schedule::Monitor mailbox{schedule::Rank::kLeaf};
    bool sent = false;
    auto device = schedule::Task::spawn("device", [&] {
      const schedule::Section section(function.lock);
      (void)function.write(1);
      (void)function.write(2);
      const schedule::Unwatched observer;
      sent = true;
    });
    bool sent_before = false;
    {
      const schedule::Section section(mailbox);
      const schedule::Unwatched observer;
      sent_before = sent;
      met = met || (sent && function.bytes() == 0);
    }
    (void)function.card.dma->dma_read(kPoster.rid(), TBit::kShared, Iova{0}, {});
    TEEIO_CHECK(!sent_before || function.bytes() == 2, "a completion passes a write");
    device.join();
    TEEIO_CHECK(function.bytes() == 2, "a write has not arrived");
  });
  EXPECT_TRUE(met);
}

// Who drains is told between two of them, and others may go on there.
TEST(PostedWrites, StayInOrderWhileTwoPushThemInEveryOrder) {
  teeio::test::expect_sound([] {
    Posting function;
    std::uint64_t last = 0;
    auto device = schedule::Task::spawn("device", [&] {
      const schedule::Section section(function.lock);
      (void)function.write(1);
      (void)function.write(last = 2);
    });
    auto drain = schedule::Task::spawn("drain", [&] {
      // A task begins up to its first point at once.
      const auto begin = [&] { const schedule::Section section(function.lock); };
      begin();
      function.iommu.in_flight(TBit::kShared).drain();
    });
    {
      const schedule::Section section(function.lock);
      (void)function.write(last = 3);
      TEEIO_CHECK(function.read() == 3, "a write is overtaken by one that was there before");
    }
    device.join();
    drain.join();
    TEEIO_CHECK(function.bytes() == last, "the last write is not the last that arrives");
  });
}

TEST(PostedWrites, ThatMemoryRefusesWhenTheyArriveAreSeen) {
  int lost = 0, refused = 0;
  teeio::test::expect_sound([&] {
    Posting function;
    function.trace.keep_events(true);
    bool sent = false;
    auto device = schedule::Task::spawn("device", [&] {
      const schedule::Section section(function.lock);
      sent = function.write(1).has_value();
    });
    {
      // The page is given away, and nobody has invalidated what leads to it.
      const schedule::Section section(function.lock);
      function.memory.give_page(function.pages[0], KeyId{3});
    }
    device.join();
    if (!sent) ++refused;
    if (function.has_lost_one()) ++lost;
    TEEIO_CHECK(sent || !function.has_lost_one(), "a write is lost that was never on its way");
  });
  EXPECT_GT(lost, 0);
  EXPECT_GT(refused, 0);
}

TEST(PostedWrites, AreOfPagesThatTakeThem) {
  teeio::test::expect_sound([] {
    Posting function;
    TEEIO_CHECK(function.pages[1] == function.pages[0] + kPageSize, "two pages that lie together");
    Bytes both(2 * kPageSize);  // translated as one
    const schedule::Section section(function.lock);
    (void)function.card.dma->dma_read(kPoster.rid(), TBit::kShared, kPostedTo, both);
    function.memory.give_page(function.pages[1], KeyId{3});
    const auto sent = function.card.dma->dma_write(kPoster.rid(), TBit::kShared, kPostedTo,
                                                   Bytes(kPageSize + 8, std::byte{1}));
    TEEIO_CHECK(!sent && sent.error().code == Errno::kFault,
                "a write into another's page is on its way");
    TEEIO_CHECK(function.bytes() == 0x0101'0101'0101'0101, "its first page has not been written");
  });
}

}  // namespace
}  // namespace teeio::hw
