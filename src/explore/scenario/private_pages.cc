// Pages that become the guest's while a device reaches them.

#include "base/check.h"
#include "explore/scenario/adversaries.h"
#include "explore/scenario/ring_device.h"
#include "explore/scenario/stage.h"
#include "explore/scenario/themes.h"
#include "explore/scenario/unexplored.h"

namespace teeio::explore {
namespace {

using machine::Config;

constexpr Iova kIovaOfGuest{0x80'0000};

/// An SNP guest's pages may be mapped for devices (IOMMU_IOAS_MAP_FILE of a guest_memfd): from
/// RMPUPDATE on a request without T does not reach one any more, whatever has its translation.
void shared_into_private(const Config& design) {
  Stage stage(design);
  Vmm& guest = stage.ready(kPf);
  must(stage.make_runnable(guest));
  const auto memory = *guest.file(give_untouched_ram(guest, kPageSize));
  RingDevice device(stage, 0);
  device.map_file(memory, kIovaOfGuest);
  device.pages.set(0, 2, raw(kIovaOfGuest));  // the first descriptor's target
  Result<void> faulted;
  stage.play({{"device", [&] { device.ring(1); }},
              {"guest", [&] { faulted = guest.pre_fault(kRamGpa); }}});
  const Unexplored after;
  TEEIO_CHECK(faulted.has_value(), "the guest gets its page");
  if (device.take_error() != 0) return;  // the ring stays where it was refused
  device.ring(2);
  TEEIO_CHECK(device.pages.get(RingPages::kTarget) == kNewPattern, "the device's other page works");
}

}  // namespace

void add_private_page_scenarios(std::vector<MachineScenario>& all) {
  all.push_back({.name = "iommu/shared-into-private",
                 .description = "a page becomes an SNP guest's while a shared device writes it",
                 .body = shared_into_private,
                 .firmware = {machine::TsmKind::kSev},
                 .fits = has_every_door});
}

}  // namespace teeio::explore
