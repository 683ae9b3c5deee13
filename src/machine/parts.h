#pragma once

#include <map>
#include <memory>
#include <set>
#include <vector>

#include "device/plain_card.h"
#include "device/tee_card.h"
#include "entry/dispatch.h"
#include "host/iommufd/mock/bench.h"
#include "host/kvm/kvm.h"
#include "host/kvm/sw_protected.h"
#include "host/pci_tsm/driver.h"
#include "host/sysfs/system.h"
#include "host/vfio/device.h"
#include "hw/host_bridge.h"
#include "hw/interrupts.h"
#include "hw/trusted_mmio.h"
#include "machine/config.h"
#include "machine/machine.h"
#include "machine/platform.h"
#include "schedule/monitor.h"
#include "schedule/mutex.h"
#include "schedule/raw_lock.h"

namespace teeio::machine {

/// Members in order of dependency: what is below is destroyed first.
struct Machine::Impl final : sysfs::Host, entry::Devices, vfio::Bus {
  explicit Impl(Config c) : config(std::move(c)), memory(config.memory_bytes) {}
  ~Impl() override;

  Result<void> build();
  Result<void> build_hardware();
  Result<void> build_kernel();
  Result<void> build_cards();
  [[nodiscard]] std::uint32_t iommu_below(std::uint8_t bus) const;
  [[nodiscard]] std::uint32_t group_of(std::uint8_t bus) TEEIO_EXCLUDES(bus_lock);
  void add_function(hw::PciFunction& function, std::uint32_t iommu, CardConfig::Driver driver);
  /// What answers CPUs' trusted accesses to a BAR; null: nothing.
  [[nodiscard]] hw::MmioTarget* trusted_bar(hw::PciFunction& function, std::size_t number,
                                            std::uint32_t iommu);

  // sysfs::Host
  [[nodiscard]] std::vector<Function> functions() override;
  [[nodiscard]] bool has(Bdf bdf) override TEEIO_EXCLUDES(bus_lock);
  [[nodiscard]] tsm::PciTsm& tsm() override { return pci_tsm; }
  [[nodiscard]] object::Trace& trace() override { return events; }
  [[nodiscard]] unsigned cpus() override { return 1; }
  [[nodiscard]] bool in_use(Bdf bdf) override;
  [[nodiscard]] bool shows_kvm() override { return !host_kvm; }
  [[nodiscard]] std::vector<std::string> vendor_nodes() override;
  [[nodiscard]] bool has_type1() override {
    return config.container == vfio::ContainerKind::kType1;
  }
  /// CONFIG_IOMMUFD_TEST depends on CONFIG_FAULT_INJECTION.
  [[nodiscard]] object::FailNth* fail_nth() override {
    return config.iommufd_mock ? &faults : nullptr;
  }
  [[nodiscard]] std::shared_ptr<void> keep_awake(Bdf bdf) override TEEIO_EXCLUDES(bus_lock);
  Result<void> reset(Bdf bdf) override;
  void reach(Bdf bdf, const std::function<void(bool bound)>& access) override
      TEEIO_EXCLUDES(bus_lock);
  void with_device_lock(Bdf bdf, const std::function<void()>& change) override
      TEEIO_EXCLUDES(bus_lock);
  Result<std::size_t> read_rom(Bdf bdf, std::uint64_t offset, std::span<std::byte> out) override
      TEEIO_EXCLUDES(rom_lock);
  void remove(Bdf bdf) override TEEIO_EXCLUDES(rescan_remove_lock);
  Result<void> bind_vfio(Bdf bdf) override TEEIO_EXCLUDES(bus_lock);
  Result<void> unbind_vfio(Bdf bdf) override TEEIO_EXCLUDES(bus_lock);
  Result<bool> set_virtual_functions(Bdf pf, std::uint16_t count, bool vfio_may) override
      TEEIO_EXCLUDES(bus_lock);
  [[nodiscard]] bool has_native_driver() override;
  Result<void> bind_native(Bdf bdf) override TEEIO_EXCLUDES(bus_lock);
  Result<void> unbind_native(Bdf bdf) override TEEIO_EXCLUDES(bus_lock);
  std::vector<Bdf> rescan(std::optional<Bdf> bus) override TEEIO_EXCLUDES(rescan_remove_lock);
  Result<void> map_bar(Bdf bdf, std::size_t bar, mm::MappedFile& file, std::uint64_t offset,
                       std::uint64_t length) override TEEIO_EXCLUDES(bar_lock);
  void unmap_bar(mm::MappedFile& file) override TEEIO_EXCLUDES(bar_lock);
  // vfio::Bus
  void claim_memory(Bdf bdf) override TEEIO_EXCLUDES(bar_lock);
  void vectors_changed() override { sysfs_system->refresh(); }
  [[nodiscard]] bool device_locked(Bdf bdf) override TEEIO_EXCLUDES(locked_lock);
  [[nodiscard]] std::vector<Neighbour> on_bus_of(Bdf bdf) override;
  [[nodiscard]] std::vector<Neighbour> in_group(std::uint32_t group) override;
  // entry::Devices
  [[nodiscard]] vfio::Device* vfio(std::uint32_t minor) override;
  [[nodiscard]] object::Ref<vfio::Group> vfio_group(std::uint32_t number) override;
  [[nodiscard]] entry::VendorNode* vendor_node(std::string_view name) override;

  /// A function on the bus, in the kernel's view.
  struct Slot {
    hw::PciFunction* function = nullptr;
    std::uint32_t iommu = 0;
    std::uint32_t group = 0;
    vfio::DeviceSet* set = nullptr;
    std::unique_ptr<vfio::Device> vfio;
    bool sriov = false;    ///< a PF that can have VFs
    bool native = false;   ///< the driver of the card's own kind has it
    bool leaving = false;  ///< its driver is on its way out, and may wait for a program
    /// A PF's: its VFs were made through its vfio-pci (Linux: vfio_pci_sriov_pfs).
    bool vfio_made_vfs = false;
  };
  /// device_lock() of a function, on the bus or not: its driver comes and goes, or changes its
  /// VFs, under it. A PF's before its VFs'. Held while a driver's removal waits for programs,
  /// so those who wait for it may wait long, as on Linux.
  class DeviceLock {
   public:
    DeviceLock(Impl& machine, Bdf bdf) TEEIO_EXCLUDES(bus_lock);
    ~DeviceLock();
    DeviceLock(const DeviceLock&) = delete;
    DeviceLock& operator=(const DeviceLock&) = delete;

   private:
    Impl& machine_;
    const Bdf bdf_;
    schedule::Mutex& mutex_;
  };
  void note_locked(Bdf bdf, bool locked) TEEIO_EXCLUDES(locked_lock);
  /// Functions of the PF that are on the bus.
  [[nodiscard]] std::vector<Bdf> vfs_of(Bdf pf) TEEIO_EXCLUDES(bus_lock);
  /// sriov_numvfs_store()'s checks. False: there is nothing to do. With the PF's DeviceLock, as
  /// the next four.
  [[nodiscard]] Result<bool> changes_vfs(Bdf pf, std::uint16_t count, bool vfio_may);
  Result<void> add_vfs(Bdf pf, std::uint16_t count);
  /// These VFs of the PF come to the bus, without its registers.
  Result<void> bring_vfs(Bdf pf, const std::vector<Bdf>& vfs);
  /// pci_disable_sriov(): waits until no program has a VF open. Errors: EBUSY the PF is bound,
  /// and all VFs are there.
  Result<void> remove_vfs(Bdf pf) TEEIO_EXCLUDES(bus_lock);
  /// sriov_del_vfs(): all leave the bus, one after the other.
  void leave_vfs(Bdf pf) TEEIO_EXCLUDES(bus_lock);
  /// vfio_pci_remove(): waits until no program has the function open; a PF's VFs leave first.
  /// Nothing, where vfio-pci has it not. With the function's DeviceLock, as the next two.
  void leave_vfio(Bdf bdf) TEEIO_EXCLUDES(bus_lock);
  /// Takes a function off the bus; what it was is kept for arrive().
  void leave(Bdf bdf) TEEIO_EXCLUDES(bus_lock);
  /// The card's own driver lets go of the function, if it has it.
  void leave_native(Bdf bdf) TEEIO_EXCLUDES(bus_lock);
  /// A function that left comes back, without driver. False: there is none.
  bool arrive(Bdf bdf) TEEIO_EXCLUDES(bus_lock);
  [[nodiscard]] Slot* slot(Bdf bdf) TEEIO_REQUIRES_SHARED(bus_lock);
  Result<void> attach_vfio(Slot& slot) TEEIO_REQUIRES(bus_lock);
  /// Its minor is free from now on; files that are open but not bound keep a
  /// pointer to the device. Gives its group if it was the last of it: to be revoked without
  /// the lock.
  [[nodiscard]] object::Ref<vfio::Group> detach_vfio(Slot& slot) TEEIO_REQUIRES(bus_lock);
  /// vfio_group_find_or_alloc().
  object::Ref<vfio::Group> join_group(const Slot& slot) TEEIO_REQUIRES(bus_lock);

  const Config config;
  bool host_kvm = false;
  object::Trace events;
  hw::PhysicalMemory memory;
  hw::InterruptRemapping interrupts;
  std::vector<std::unique_ptr<hw::RootPort>> ports;
  std::vector<std::unique_ptr<device::TeeCard>> tee_cards;
  std::vector<std::unique_ptr<device::PlainCard>> plain_cards;
  std::vector<std::unique_ptr<hw::TrustedMmio>> trusted_bars;  ///< as root ports let them through
  std::unique_ptr<hw::HostBridge> bridge;
  std::unique_ptr<Platform> platform;
  std::unique_ptr<hw::CpuFactory> cpu_factory;
  std::vector<std::unique_ptr<iommu::Iommu>> iommu_drivers;
  tsm::PciTsm pci_tsm{events};
  kvm::SwProtectedFactory sw_protected;
  std::unique_ptr<kvm::Kvm> kvm;
  std::unique_ptr<iommufd::Environment> iommufd_environment;
  object::FailNth faults;              ///< asked with a bench only
  iommufd::PinBook pins;               ///< kept with a bench only
  std::unique_ptr<mock::Bench> bench;  ///< null without iommufd_mock
  /// Of a bus; of a VF its own, for a bus reset never is a VF's to ask for
  /// (vfio_pci_core_register_device()).
  std::map<std::uint8_t, std::unique_ptr<vfio::DeviceSet>> sets;
  std::map<Bdf, std::unique_ptr<vfio::DeviceSet>> vf_sets;
  schedule::Mutex rescan_remove_lock{schedule::Rank::kPciRescanRemove};
  /// Of every function that there ever is, from build() on: see DeviceLock.
  std::map<Bdf, schedule::Mutex> device_locks;
  /// Those of which a DeviceLock is held.
  const schedule::Turn locked_turn{"device_lock"};
  schedule::RawLock locked_lock;
  std::set<Bdf> locked TEEIO_GUARDED_BY(locked_lock);
  schedule::RwMutex bus_lock{schedule::Rank::kLeaf};  ///< Linux: pci_bus_sem
  std::map<Bdf, Slot> slots TEEIO_GUARDED_BY(bus_lock);
  std::map<Bdf, Slot> absent TEEIO_GUARDED_BY(bus_lock);           ///< left, and could come back
  std::vector<vfio::Device*> by_minor TEEIO_GUARDED_BY(bus_lock);  ///< nullptr: free
  /// What VFIO has of IOMMU groups, by their number (Linux: vfio.group_list), and the minors.
  struct GroupEntry {
    object::Ref<vfio::Group> group;
    std::uint32_t minor;
  };
  std::map<std::uint32_t, GroupEntry> vfio_groups TEEIO_GUARDED_BY(bus_lock);
  /// Below those that are in use.
  std::set<std::uint32_t> free_group_minors TEEIO_GUARDED_BY(bus_lock);
  std::uint32_t next_group = 0;
  /// A BAR whose bytes are in a file that programs map through sysfs.
  struct BarMapping {
    Bdf bdf;
    hw::PlainMemoryBar* bar;
    mm::MappedFile* file;
  };
  /// ROMs of functions that VFIO does not have; of others their memory_lock.
  schedule::Mutex rom_lock{schedule::Rank::kVfioMemory};
  schedule::RwMutex bar_lock{schedule::Rank::kMm};
  std::vector<BarMapping> bar_mappings TEEIO_GUARDED_BY(bar_lock);
  std::vector<std::unique_ptr<vfio::Device>> gone;  ///< removed, perhaps still open
  std::unique_ptr<entry::Host> host;
  std::unique_ptr<sysfs::System> sysfs_system;
  std::unique_ptr<entry::Dispatch> dispatch;
};

}  // namespace teeio::machine
