#include "explore/scenario/seeded_bugs.h"

#include <algorithm>
#include <iterator>

#include "base/check.h"

namespace teeio::explore {
namespace {

using schedule::SeededBug;

// Sources: threads of the kernel lists, by message or series and date.
constexpr SeededBugInfo kBugs[] = {
    {"vdevice-outlives-idevice", "the end of an idevice leaves its vDEVICE behind",
     "iommufd::Idevice::pre_destroy", "Linux before 6.17; J. Gunthorpe, 2025-06-04"},
    {"destroy-races-idevice", "a vDEVICE on its way out does not hold its idevice",
     "iommufd::Context::vdevice_alloc",
     "v3 of \"iommufd: Destroy vdevice on idevice destroy\", 2025-06"},
    {"two-vdevices",
     "whether an idevice has a vDEVICE is looked up before the group's lock is taken",
     "iommufd::Vdevice::create", "Linux before 6.17; J. Gunthorpe, 2025-06-04"},
    {"vdevice-visible-early", "a vDEVICE can be found before its virtual id was accepted",
     "iommufd::Vdevice::create", "comment in Linux 7.3, drivers/iommu/iommufd/viommu.c"},
    {"unbind-leaks-lock", "an unbind that finds nothing bound keeps igroup->lock",
     "iommufd::Idevice::tsm_unbind", "RFC \"Host side support for TDISP\" 19/30, 2025-05-29"},
    {"iova-align-overflow", "rounding an IOVA up wraps around at the end of the address space",
     "iommufd::IoPagetable, place_in", "Linux before 6.17, found by syzkaller"},
    {"unpin-without-lock", "an importer unpins without the reservation lock when its IOAS goes",
     "iommufd::DmabufPages, destructor", "A. Soni, 2026-05-26, fixes 8c5f9645c389"},
    {"attach-races-revoke",
     "an importer keeps what it looked up although the lock was dropped in between",
     "iommufd::DmabufPages::attach", "v6 of \"dma-buf: Use revoke mechanism\", 2026-01"},
    {"revoke-does-not-wait", "a revoke returns while importers still use the memory",
     "dmabuf::DmaBuf::revoke", "v3 6/7 of \"dma-buf: Use revoke mechanism\", 2026-01-21"},
    {"completion-used-up",
     "an un-revoke does not arm the completion again that the next revoke waits for",
     "dmabuf::DmaBuf::revoke", "comment in Linux 7.3, drivers/vfio/pci/vfio_pci_dmabuf.c"},
    {"revoked-after-reset",
     "after a function-level reset the dma-bufs are revoked again instead of given back",
     "vfio::Device::reset", "RFC \"Host side support for TDISP\" 05/30, 2025-05-29"},
    {"vf-as-pf0", "a VF's own context is taken for its DSM's, with another lock",
     "tsm::PciTsm::dsm", "A. Kardashevskiy, 2025-09-02"},
    {"tdi-unset", "the TDI is published before its VM is set", "tsm::PciTsm::bind",
     "PCI/TSM series, 2025-09"},
    {"shared-handlers", "the first of two unbinds clears the teardown handlers of the whole card",
     "tsm::PciTsm::unbind_one", "RFC \"Host side support for TDISP\" 29/30, 2025-05-29"},
    {"unmap-before-stop", "private MMIO is taken from the guest before its TDI is stopped",
     "tsm::TdxDriver::unbind", "no public report; TDX Connect wants STOP first"},
    {"devif-forgotten",
     "an unbind leaves the TDI's metadata with the firmware, and its VM is taken apart",
     "tsm::TdxDriver::unbind", "no public report; TDH.MNG.VPFLUSHDONE refuses"},
    {"duplicate-stream-links", "streams are numbered per root port, so two links get one name",
     "tsm::IdeStreams::free_index", "PCI/IDE, Dec 2025 to Jan 2026, fixes 079115370d00"},
    {"raw-vm-pointer",
     "VFIO uses its raw pointer to the VM after it let go of the lock that keeps it valid",
     "vfio::DeviceFile::bind_iommufd", "v5 1/5 of \"iommufd ioctls for TSM\", 2026-05-25"},
    {"fault-ignores-revoke",
     "a fault installs a page although it was invalidated after it was looked up",
     "kvm::Mmu::install_private", "RFC \"Private MMIO support\" 07/12, 2025-01-07"},
    {"kvm-vfio-cycle", "KVM's VFIO device and the VFIO file hold references on each other",
     "kvm::VfioDevice::add", "list, 2025-06-09"},
    {"gmem-not-invalidated",
     "a hole is punched into a guest_memfd while its pages stay mapped for the guest",
     "kvm::Gmem::punch_hole", "J. Gunthorpe, 2025-08-05"},
    {"zap-races-d0", "a bind kills the BAR mappings before it says that the device is bound",
     "vfio::Device::set_bound", "VFIO mmap series v3 6/9, 2026-06"},
    {"mainline-close", "the last close revokes and resets before it leaves iommufd",
     "vfio::Device::close", "Linux 7.3, vfio_df_device_last_close()"},
    {"drain-forgotten", "an invalidation does not wait for requests that are on their way",
     "hw::RequestsInFlight::drain",
     "\"iommu/amd: Wait for completion of IOTLB flush in attach_device\", F. Sironi, 2019-09-10"},
    {"owner-unchecked", "a device's request without T is not held against who owns the page",
     "hw::HostBridge, transfer",
     "CVE-2023-20584, AMD-SB-3003, 2024-08: DTE faults bypass the RMP's checks"},
    {"keys-repeat", "each connection of a stream has the keys of the one before", "tdx, km_request",
     "no public report; NIST SP 800-38D, 8: no IV twice under one key"},
    {"device-ref-late",
     "a KVM device takes its reference on the VM when its descriptor can be closed already",
     "entry, ioctl_create_device", "CVE-2019-6974, J. Horn, 2019-01-26, fixed by cfa39381173d"},
    {"nonce-unchecked", "a TDI starts whatever nonce it is given", "device::Tdi::start",
     "no public report; TDISP wants INVALID_NONCE"},
};

}  // namespace

std::span<const SeededBugInfo> seeded_bugs() { return kBugs; }

const SeededBugInfo& seeded_bug_info(SeededBug bug) {
  const auto* at = std::ranges::find(kBugs, bug, &SeededBugInfo::bug);
  TEEIO_CHECK(at != std::end(kBugs), "no seeded bug");
  return *at;
}

std::optional<SeededBug> parse_seeded_bug(std::string_view name) {
  const auto* at = std::ranges::find(kBugs, name, &SeededBugInfo::name);
  if (at == std::end(kBugs)) return std::nullopt;
  return at->bug();
}

}  // namespace teeio::explore
