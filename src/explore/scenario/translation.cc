// DMA against those who look at, change and end its translations, on Intel's IOMMU: dirty
// bits, first stages over a parent, PASIDs.

#include <string>

#include "base/check.h"
#include "explore/scenario/ring_device.h"
#include "explore/scenario/stage.h"
#include "explore/scenario/themes.h"
#include "explore/scenario/unexplored.h"

namespace teeio::explore {
namespace {

using machine::Config;

// --- Scenarios ---

/// A migration copies what is dirty, round by round, while the device writes. What it has in
/// the end is what is there: no write was missed.
void dirty_against_dma(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  RingDevice device(stage, abi::IOMMU_HWPT_ALLOC_DIRTY_TRACKING);
  device.track();
  device.ring(1);
  std::uint64_t copy = 0;
  const auto round = [&] {
    if (device.target_is_dirty()) copy = device.pages.get(RingPages::kTarget);
  };
  stage.play({{"device", [&] { device.ring(2); }}, {"migration", [&] {
                                                      round();
                                                      round();
                                                    }}});
  const Unexplored after;
  round();
  TEEIO_CHECK(device.pages.get(RingPages::kTarget) == kNewPattern, "the device has not written");
  TEEIO_CHECK(copy == kNewPattern, "a write of the device is in no bitmap");
}

/// Tracking begins while the device writes.
void tracking_against_dma(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  RingDevice device(stage, abi::IOMMU_HWPT_ALLOC_DIRTY_TRACKING);
  device.ring(1);
  std::uint64_t copy = 0;
  stage.play({{"device", [&] { device.ring(2); }},
              {"migration", [&] {
                 device.track();
                 copy = device.pages.get(RingPages::kTarget);  // the first round has all pages
               }}});
  const Unexplored after;
  if (device.target_is_dirty()) copy = device.pages.get(RingPages::kTarget);
  TEEIO_CHECK(copy == kNewPattern, "a write of the device is in no bitmap");
}

/// One first stage takes another's place, and that goes.
void replace_against_dma(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  RingDevice device(stage, abi::IOMMU_HWPT_ALLOC_NEST_PARENT);
  device.pages.make_first_stage(RingPages::kFirstStage, RingPages::kTarget);
  device.pages.make_first_stage(RingPages::kSecondFirst, RingPages::kOther);
  const std::uint32_t first = device.nest(RingPages::kFirstStage);
  const std::uint32_t second = device.nest(RingPages::kSecondFirst);
  must(device.attach(first));
  device.ring(1);
  Result<void> destroyed;
  stage.play({{"device", [&] { device.ring(2); }}, {"vmm", [&] {
                                                      must(device.attach(second));
                                                      destroyed = device.destroy(first);
                                                    }}});
  const Unexplored after;
  TEEIO_CHECK(destroyed.has_value(), "a HWPT that nobody uses cannot be destroyed");
  TEEIO_CHECK(device.take_error() == 0, "a replace has left a gap");
  const bool in_first = device.pages.get(RingPages::kTarget) == kNewPattern;
  TEEIO_CHECK(in_first != (device.pages.get(RingPages::kOther) == kNewPattern),
              "one transfer went to both pages, or to none");
  device.ring(3);
  TEEIO_CHECK(device.pages.get(RingPages::kOther) == kLastPattern &&
                  device.pages.get(RingPages::kTarget) != kLastPattern,
              "DMA goes through a first stage that was replaced");
}

/// A first stage is detached and destroyed.
void destroy_against_dma(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  RingDevice device(stage, abi::IOMMU_HWPT_ALLOC_NEST_PARENT);
  device.pages.make_first_stage(RingPages::kFirstStage, RingPages::kTarget);
  const std::uint32_t nested = device.nest(RingPages::kFirstStage);
  must(device.attach(nested));
  device.ring(1);
  stage.play({{"device", [&] { device.ring(2); }}, {"vmm", [&] {
                                                      must(device.detach());
                                                      must(device.destroy(nested));
                                                      must(device.destroy(device.hwpt));
                                                    }}});
  const Unexplored after;
  (void)device.take_error();
  device.ring(3);
  TEEIO_CHECK(device.take_error() != 0 && device.pages.get(RingPages::kTarget) != kLastPattern,
              "DMA goes through a HWPT that is gone");
}

/// A guest gives an address another page, and says so.
void invalidate_against_dma(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  RingDevice device(stage, abi::IOMMU_HWPT_ALLOC_NEST_PARENT);
  device.pages.make_first_stage(RingPages::kFirstStage, RingPages::kTarget);
  const std::uint32_t nested = device.nest(RingPages::kFirstStage);
  must(device.attach(nested));
  device.ring(1);
  std::uint64_t seen = 0;
  stage.play({{"device", [&] { device.ring(2); }},
              {"guest", [&] {
                 device.pages.lead(RingPages::kFirstStage, RingPages::kTarget, RingPages::kOther);
                 device.invalidate(nested, RingPages::kTarget);
                 seen = device.pages.get(RingPages::kTarget);
               }}});
  const Unexplored after;
  TEEIO_CHECK(device.take_error() == 0, "an invalidation has left a gap");
  TEEIO_CHECK(device.pages.get(RingPages::kTarget) == seen,
              "DMA reached a page after its invalidation was done");
  TEEIO_CHECK((seen == kNewPattern) != (device.pages.get(RingPages::kOther) == kNewPattern),
              "one transfer went to both pages, or to none");
  device.ring(3);
  TEEIO_CHECK(device.pages.get(RingPages::kOther) == kLastPattern &&
                  device.pages.get(RingPages::kTarget) == seen,
              "DMA goes where an address led before its invalidation");
}

/// A PASID is detached while the device uses it.
void pasid_against_dma(const Config& design) {
  constexpr std::uint32_t kPasid = 3;
  Config with_pasids = design;
  with_pasids.cards.front().pasid_bits = 4;
  Stage stage(with_pasids, Stage::Card::kAsAtBoot);
  RingDevice device(stage, abi::IOMMU_HWPT_ALLOC_PASID, kPasid);
  must(device.attach(device.hwpt, kPasid));
  device.ring(1);
  TEEIO_CHECK(device.pages.get(RingPages::kTarget) == kOldPattern,
              "DMA with a PASID does not arrive");
  std::uint64_t seen = 0;
  stage.play({{"device", [&] { device.ring(2); }}, {"vmm", [&] {
                                                      must(device.detach(kPasid));
                                                      seen = device.pages.get(RingPages::kTarget);
                                                    }}});
  const Unexplored after;
  TEEIO_CHECK(device.pages.get(RingPages::kTarget) == seen,
              "DMA with a PASID arrived after it was detached");
  (void)device.take_error();
  device.ring(3);
  TEEIO_CHECK(device.take_error() != 0, "a detached PASID still has its translations");
}

}  // namespace

void add_translation_scenarios(std::vector<MachineScenario>& all) {
  struct Entry {
    std::string name, description;
    void (*body)(const Config&);
  };
  for (const Entry& entry :
       {Entry{"iommu/dirty-against-dma", "GET_DIRTY_BITMAP, clearing, while the device writes",
              dirty_against_dma},
        Entry{"iommu/tracking-against-dma", "dirty tracking begins while the device writes",
              tracking_against_dma},
        Entry{"iommu/replace-nested-against-dma",
              "a nested HWPT takes another's place, which is destroyed, under DMA",
              replace_against_dma},
        Entry{"iommu/destroy-nested-against-dma",
              "a nested HWPT and its parent are detached and destroyed under DMA",
              destroy_against_dma},
        Entry{"iommu/invalidate-against-dma",
              "a first-stage entry changes and is invalidated under DMA", invalidate_against_dma},
        Entry{"iommu/pasid-detach-against-dma", "a PASID is detached under its DMA",
              pasid_against_dma}})
    all.push_back({.name = entry.name,
                   .description = entry.description,
                   .body = entry.body,
                   .firmware = {machine::TsmKind::kTdx},
                   .fits = has_every_door});
}

}  // namespace teeio::explore
