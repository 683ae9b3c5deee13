// The ends of descriptors: domain.md §5, and VFIO's close against IOMMU_DESTROY.

#include <algorithm>
#include <array>
#include <utility>

#include "explore/scenario/stage.h"
#include "explore/scenario/themes.h"

namespace teeio::explore {
namespace {

using machine::Config;

void destroy_against_close(const Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.bound();
  must(vmm.associate(KVM_DEV_VFIO_FILE_DEL));
  stage.play({{"destroyer", [&] { (void)vmm.destroy(vmm.vdevice_id); }},
              {"closer", [&] { (void)vmm.close(vmm.vfio); }}});
}

}  // namespace

void add_close_scenarios(std::vector<MachineScenario>& all) {
  all.push_back({.name = "close/destroy-vdevice-against-vfio",
                 .description = "IOMMU_DESTROY of a bound vDEVICE against the last close of VFIO",
                 .body = destroy_against_close});
}

}  // namespace teeio::explore
