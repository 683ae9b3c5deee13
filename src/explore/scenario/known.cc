// Faults that are known: orders that public kernels have, each with the finding that
// it must show here. One that does not break any more is news.

#include "explore/scenario/stage.h"
#include "explore/scenario/themes.h"

namespace teeio::explore {
namespace {

using machine::Config;

/// Linux 7.3's vfio_pci_core_close_device() revokes, clears bus mastering and resets
/// before vfio_df_close() reaches iommufd's unbind.
void close_in_mainlines_order(const Config& design) {
  Config mainline = design;
  mainline.vfio.close_order = vfio::CloseOrder::kMainline;
  Stage stage(mainline);
  Vmm& vmm = stage.with_mmio();
  stage.play({{"vmm", [&] { vmm.exit(); }}});
}

}  // namespace

void add_known_scenarios(std::vector<MachineScenario>& all) {
  all.push_back({.name = "known/mainline-close-order",
                 .description = "VFIO's last close in mainline's order, with private MMIO mapped",
                 .body = close_in_mainlines_order,
                 .firmware = {machine::TsmKind::kTdx},
                 .expectation = {.rules = {"R4"}}});
}

}  // namespace teeio::explore
