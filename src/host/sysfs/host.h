#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "host/iommu/iommu.h"
#include "host/mm/mapped_file.h"
#include "host/pci_tsm/pci_tsm.h"
#include "hw/pci_function.h"
#include "hw/root_port.h"
#include "object/fail_nth.h"
#include "object/trace.h"

namespace teeio::sysfs {

/// What the tree needs of the machine, and the writes that only the whole machine
/// can carry out. Implemented by machine/.
///
/// Lifetime: outlives the tree's System.
/// Locking: called on the task of the program's call, without any lock.
class Host {
 public:
  virtual ~Host() = default;

  /// A function that is on the bus now.
  struct Function {
    hw::PciFunction* pci = nullptr;
    std::string driver = {};                        ///< "vfio-pci", "native", "pcieport", or none
    bool leaving = false;                           ///< no driver any more, once vfio-pci is out
    std::optional<std::uint32_t> group = {};        ///< IOMMU group
    const iommu::Iommu* iommu = nullptr;            ///< behind which it is
    std::optional<std::uint32_t> vfio_minor = {};   ///< N of vfioN, under vfio-pci only
    std::optional<std::uint32_t> group_minor = {};  ///< of /dev/vfio/GROUP, likewise
    std::uint32_t vectors = 0;                      ///< of MSI or MSI-X that its driver has
    bool vectors_are_msi = false;
  };
  /// In order of BDF, root ports included.
  [[nodiscard]] virtual std::vector<Function> functions() = 0;
  /// Whether functions() has it.
  [[nodiscard]] virtual bool has(Bdf bdf) = 0;
  [[nodiscard]] virtual tsm::PciTsm& tsm() = 0;
  [[nodiscard]] virtual object::Trace& trace() = 0;
  [[nodiscard]] virtual unsigned cpus() = 0;
  /// Whether a program has the function open through VFIO: it is enabled.
  [[nodiscard]] virtual bool in_use(Bdf bdf) = 0;
  /// False: /dev/kvm is the real host's and not in the tree.
  [[nodiscard]] virtual bool shows_kvm() = 0;
  /// Nodes below /dev that a vendor's part of the machine answers for.
  [[nodiscard]] virtual std::vector<std::string> vendor_nodes() { return {}; }
  /// Whether /dev/vfio/vfio is VFIO's own container: vfio_iommu_type1 is there.
  [[nodiscard]] virtual bool has_type1() = 0;
  /// What programs may make fail; null: a kernel without CONFIG_FAULT_INJECTION.
  [[nodiscard]] virtual object::FailNth* fail_nth() { return nullptr; }

  /// pci_reset_function() by FLR, for a write of 1 to `reset`. Linux asks nobody
  /// whether the function is in use.
  virtual Result<void> reset(Bdf bdf) = 0;
  /// pci_read_rom(), for a read of `rom`: what of the ROM's images lies there; 0: nothing. One
  /// reader of a function at a time, VFIO's included. Precondition: the function has a ROM.
  /// Errors: EIO there is no image, memory space is off, or the function is bound; ENODEV it
  /// has left the bus.
  virtual Result<std::size_t> read_rom(Bdf bdf, std::uint64_t offset, std::span<std::byte> out) = 0;
  /// pci_config_pm_runtime_get(), for as long as the answer lives: a function that sleeps at its
  /// user's wish is woken before its configuration space is accessed, and its user told.
  [[nodiscard]] virtual std::shared_ptr<void> keep_awake(Bdf bdf) = 0;
  /// Carries out an access to the function that Linux asks nobody about, and tells it whether the
  /// function is bound to a VM, which does not change before it ends.
  virtual void reach(Bdf bdf, const std::function<void(bool bound)>& access) = 0;
  /// Carries out `change` with device_lock() of the function.
  virtual void with_device_lock(Bdf bdf, const std::function<void()>& change) = 0;
  /// pci_stop_and_remove_bus_device_locked(): the function, and a PF's VFs, leave
  /// the bus; functions() no longer has them on return. As all that has a driver let go of a
  /// function: while a program has it open through VFIO, its user is asked to close it and the
  /// call waits until that has happened (vfio_unregister_group_dev()).
  virtual void remove(Bdf bdf) = 0;
  /// pci_mmap_resource(): the BAR's bytes are in `file`, at its beginning, until unmap_bar()
  /// or until a driver claims them: then the mappings are SIGBUS. Errors: EINVAL beyond the
  /// BAR, a driver has claimed it (iomem_is_exclusive()), or it has registers, which no page
  /// can stand for; EBUSY another file maps it; ENODEV the function is gone.
  virtual Result<void> map_bar(Bdf bdf, std::size_t bar, mm::MappedFile& file, std::uint64_t offset,
                               std::uint64_t length) = 0;
  virtual void unmap_bar(mm::MappedFile& file) = 0;
  /// Binding to vfio-pci and unbinding. Preconditions: the function has no driver;
  /// it has vfio-pci. Errors: the driver's probe.
  virtual Result<void> bind_vfio(Bdf bdf) = 0;
  virtual Result<void> unbind_vfio(Bdf bdf) = 0;
  /// A driver of the PFs' own kind is there.
  [[nodiscard]] virtual bool has_native_driver() = 0;
  /// Preconditions: a PF without driver; it has that driver, with which its VFs leave.
  /// Errors: ENODEV.
  virtual Result<void> bind_native(Bdf bdf) = 0;
  virtual Result<void> unbind_native(Bdf bdf) = 0;
  /// pci_rescan_bus() of every bus, or of that of `bus` and those below it: removed functions
  /// that are still in their slots come back, without driver and without VFs. Gives them.
  virtual std::vector<Bdf> rescan(std::optional<Bdf> bus) = 0;
  /// sriov_numvfs_store() with the sriov_configure() of the PF's driver: its VFs arrive on the
  /// bus, or with 0 leave it. VFs made through vfio-pci get vfio-pci themselves, others no
  /// driver. Nobody binds or unbinds, and no other number is set, between its checks and its
  /// end. `vfio_may`: vfio-pci's enable_sriov. Precondition: the PF has so many VFs. False: it
  /// had that number already, and nothing was done.
  /// Errors: ENODEV the PF has left the bus; ENOENT it has no driver, or vfio-pci without
  /// `vfio_may`; EBUSY it has VFs and `count` is another number of them, or the PF is bound to
  /// a VM.
  virtual Result<bool> set_virtual_functions(Bdf pf, std::uint16_t count, bool vfio_may) = 0;
};

}  // namespace teeio::sysfs
