// An invalidation returns when the requests that were translated before it have reached memory.

#include <gtest/gtest.h>

#include "base/check.h"
#include "dma_card.h"
#include "hw/host_bridge.h"
#include "hw/interrupts.h"
#include "hw/vtd/vtd_iommu.h"
#include "iommu_tables.h"
#include "schedule/atomic.h"
#include "schedule/task.h"
#include "unit/schedule/explored.h"

namespace teeio::hw {
namespace {

constexpr Bdf kCard = test::DmaCard::kBdf;
constexpr Iova kIova{0x4000'0000};
constexpr std::uint16_t kDomain = 9;

/// Pages of a program that take a moment to be written.
class SlowPages final : public WindowTarget {
 public:
  Result<void> read(std::uint64_t, std::span<std::byte>) override { return {}; }
  Result<void> write(std::uint64_t, ByteView) override {
    TEEIO_CHECK(invalidated.load() == 0,
                "a write arrives after the invalidation of its translation");
    return {};
  }
  [[nodiscard]] std::span<std::byte> direct() override { return {}; }
  schedule::Atomic<int> invalidated{0};
};

TEST(VtdDrain, AnInvalidationWaitsForTranslatedWritesInEveryOrder) {
  teeio::test::expect_sound([] {
    PhysicalMemory memory(std::uint64_t{64} * kPageSize);
    object::Trace trace;
    VtdIommu iommu(memory, trace, 0);
    InterruptRemapping interrupts;
    HostBridge bridge(memory, trace, interrupts);
    test::DmaCard card;
    bridge.add_function(card, iommu);
    SlowPages pages;
    const Hpa window = *memory.map_window(pages, kPageSize);
    test::IommuTables tables(memory);
    const Hpa stage = tables.page();
    tables.attach(kCard.rid(), stage, kDomain);
    tables.map(stage, kIova, window);
    iommu.set_root(TBit::kShared, tables.root());
    (void)iommu.translate(kCard.rid(), TBit::kShared, kIova, DmaAccess::kWrite);  // cached

    auto device = schedule::Task::spawn("device", [&] {
      const std::uint64_t value = 1;
      (void)card.dma->dma_write(kCard.rid(), TBit::kShared, kIova, bytes_of(value));
    });
    tables.set(tables.leaf(stage, kIova), 0);
    iommu.invalidate_range(TBit::kShared, kDomain, kIova, kPageSize);
    pages.invalidated.store(1);
    device.join();
    memory.unmap_window(window);
  });
}

}  // namespace
}  // namespace teeio::hw
