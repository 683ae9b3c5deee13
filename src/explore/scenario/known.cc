// Faults that are known: orders that public kernels have, each with the finding that
// it must show here. One that does not break any more is news.

#include "explore/scenario/stage.h"
#include "explore/scenario/themes.h"
#include "hw/find_capability.h"

namespace teeio::explore {
namespace {

using machine::Config;

constexpr std::uint64_t kDoeControl = 8;  ///< PCI_DOE_CTRL

/// Linux 7.3's vfio_pci_core_close_device() revokes, clears bus mastering and resets
/// before vfio_df_close() reaches iommufd's unbind.
void close_in_mainlines_order(const Config& design) {
  Config mainline = design;
  mainline.vfio.close_order = vfio::CloseOrder::kMainline;
  Stage stage(mainline);
  Vmm& vmm = stage.with_mmio();
  stage.play({{"vmm", [&] { vmm.exit(); }}});
}

/// Where the card's DOE capability is, as root's config file has it; the list of VFIO's lacks it.
std::uint64_t mailbox_of(machine::Program& root) {
  const auto fd = root.open("/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/config");
  TEEIO_CHECK(fd.has_value(), "root can open the PF's config space");
  constexpr std::uint64_t kFirstExtended = 0x100;
  std::uint32_t header = 0;
  for (std::uint64_t at = kFirstExtended; at != 0; at = header >> 20U) {
    (void)root.pread(*fd, at, writable_bytes_of(header));
    if ((header & 0xffffU) == hw::kExtendedDoe) return at;
  }
  TEEIO_CHECK(false, "the card has a DOE mailbox");
  return 0;
}

/// vfio-pci hides a DOE capability from the list, and writes what no capability claims to the
/// device as it is: unassigned_perms of vfio_pci_config.c. Who knows where the mailbox is speaks
/// into the TSM's session.
void mailbox_with_two_owners(const Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.ready();
  const std::uint64_t control = (std::uint64_t{vfio::kConfigRegion} << vfio::kRegionShift) +
                                mailbox_of(stage.root()) + kDoeControl;
  constexpr std::uint32_t kAbort = 1;
  stage.play({{"vmm", [&] { (void)vmm.pwrite(vmm.vfio, control, bytes_of(kAbort)); }},
              {"admin", [&] { (void)disconnect(stage.root()); }}});
}

}  // namespace

void add_known_scenarios(std::vector<MachineScenario>& all) {
  all.push_back({.name = "known/mainline-close-order",
                 .description = "VFIO's last close in mainline's order, with private MMIO mapped",
                 .body = close_in_mainlines_order,
                 .firmware = {machine::TsmKind::kTdx},
                 .expectation = {.rules = {"R4"}}});
  all.push_back({.name = "known/mailbox-with-two-owners",
                 .description = "a VMM's raw write to the DOE mailbox against the TSM's disconnect",
                 .body = mailbox_with_two_owners,
                 .expectation = {.rules = {"R4"}}});
}

}  // namespace teeio::explore
