#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "host/dmabuf/dmabuf.h"
#include "host/iommufd/context.h"
#include "host/iommufd/device_handle.h"
#include "host/iommufd/idevice.h"
#include "host/kvm/vfio_device.h"
#include "host/mm/caller.h"
#include "host/mm/mapped_file.h"
#include "host/pci_tsm/pci_tsm.h"
#include "host/vfio/bus.h"
#include "host/vfio/group.h"
#include "host/vfio/hot_reset.h"
#include "host/vfio/ioeventfds.h"
#include "host/vfio/irqs.h"
#include "host/vfio/low_power.h"
#include "host/vfio/policies.h"
#include "host/vfio/saved_config.h"
#include "host/vfio/vf_token.h"
#include "host/vfio/virtual_config.h"
#include "hw/interrupts.h"
#include "hw/pci_function.h"
#include "object/trace.h"
#include "schedule/atomic.h"
#include "schedule/condition.h"
#include "schedule/mutex.h"

namespace teeio::vfio {

// Regions of a vfio-pci device: region `index` lies at index << 40 of the file.
inline constexpr unsigned kRegionShift = 40;
inline constexpr std::uint32_t kBarRegions = 6;
inline constexpr std::uint32_t kRomRegion = 6;
inline constexpr std::uint32_t kConfigRegion = 7;
inline constexpr std::uint32_t kRegions = 9;

/// A PCI function under vfio-pci (Linux: struct vfio_pci_core_device).
///
/// Lifetime: from the function's binding to vfio-pci to its removal; outlives
/// its open files.
/// Locking: dev_set->lock over open and close, memory_lock over whether the
/// device's memory may be reached, vdev->igate over interrupts.
class Device final : public iommufd::DeviceHandle,
                     public tsm::TeardownHandlers,
                     public dmabuf::Exporter {
 public:
  struct Wiring {
    hw::PciFunction& function;
    hw::PhysicalMemory& memory;
    hw::InterruptRemapping& interrupts;
    iommu::Iommu& iommu;
    tsm::PciTsm& tsm;
    object::Trace& trace;
    DeviceSet& set;
    Bus& bus;
    std::uint32_t group;  ///< IOMMU group
    std::uint32_t minor;  ///< N of /dev/vfio/devices/vfioN
    Policies policies;
    bool has_vfs = false;  ///< a PF with an SR-IOV capability
    /// Of the PF through whose vfio-pci this VF was made; else null. Shared, for a VF's
    /// user may stay longer than the PF.
    std::shared_ptr<VfToken> token_of_pf = {};
    /// VFIO's side of `group`.
    object::Ref<Group> vfio_group = {};
  };
  explicit Device(const Wiring& wiring);
  ~Device() override;

  [[nodiscard]] Bdf bdf() const override { return wiring_.function.bdf(); }
  [[nodiscard]] std::uint32_t iommu_group() const override { return wiring_.group; }
  [[nodiscard]] iommu::Iommu& iommu() const override { return wiring_.iommu; }
  [[nodiscard]] Bdf function() const override { return bdf(); }
  [[nodiscard]] std::uint32_t minor() const { return wiring_.minor; }
  [[nodiscard]] hw::PciFunction& pci() const { return wiring_.function; }
  [[nodiscard]] DeviceSet& set() const { return wiring_.set; }
  [[nodiscard]] Group& group() const { return *wiring_.vfio_group; }
  [[nodiscard]] object::Trace& trace() const { return wiring_.trace; }

  // --- device.cc: the life of a device's users ---

  /// Whether a program that gives `token`, or none, may have the device. Errors: EACCES,
  /// EINVAL, as vfio_pci_core_match_token_uuid().
  Result<void> match_token(const std::optional<Uuid>& token) TEEIO_REQUIRES(set().lock);
  /// vfio_pci_core_match(): whether a group's user means this function, by "BDF" or
  /// "BDF vf_token=UUID". Errors: EINVAL another option; match_token()'s.
  Result<bool> match(std::string_view name) TEEIO_EXCLUDES(set().lock);
  /// vfio_df_open() through the node: enables the function and ties it to `context`.
  /// `vm_file` may be null. Gives the idevice's id. Errors: EINVAL while another file has
  /// the device; Idevice::bind()'s; EAGAIN while its driver comes or goes, or its VFs do
  /// (vfio_pci_core_enable()).
  Result<std::uint32_t> open(iommufd::Context& context, object::Ref<object::File> vm_file)
      TEEIO_REQUIRES(set().lock);
  /// vfio_df_close(), in the order of the policy.
  void close() TEEIO_REQUIRES(set().lock);
  /// The same through the group: one that is open counts its users. `context`: the iommufd
  /// that is the group's container, to whose compatibility IOAS the device is attached; null
  /// for a container. Errors: Group::use_container()'s, Idevice::bind()'s and attach()'s.
  Result<void> open_in_group(Group& group, iommufd::Context* context,
                             object::Ref<object::File> vm_file)
      TEEIO_REQUIRES(group.lock(), set().lock);
  void close_in_group(Group& group) TEEIO_REQUIRES(group.lock(), set().lock);
  /// Errors: Idevice::attach()'s. Attached already: replaces.
  Result<std::uint32_t> attach(std::uint32_t pt_id) TEEIO_EXCLUDES(set().lock);
  void detach() TEEIO_EXCLUDES(set().lock);
  /// vfio_iommufd_physical_pasid_attach_ioas(): as attach(), of one PASID. Errors also:
  /// ENOSPC a PASID that no ida holds.
  Result<std::uint32_t> attach_pasid(std::uint32_t pt_id, std::uint32_t pasid)
      TEEIO_EXCLUDES(set().lock);
  void detach_pasid(std::uint32_t pasid) TEEIO_EXCLUDES(set().lock);
  [[nodiscard]] bool in_use() TEEIO_EXCLUDES(set().lock);

  // --- registration.cc: who keeps the device's driver from leaving ---

  /// vfio_device_try_get_registration(), by who finds the device under a name: every open file
  /// of it holds one. False once unregister() has begun.
  [[nodiscard]] bool get_registration() TEEIO_EXCLUDES(registration_lock_);
  void put_registration() TEEIO_EXCLUDES(registration_lock_);
  /// vfio_unregister_group_dev(): nobody finds the device any more. While it has open files its
  /// user is asked to close them (Irqs::request_release()), at once and every ten seconds, and
  /// the call returns after the last close, however long that takes. A file that was open before
  /// works until then, but for resets and BIND_IOMMUFD, as the caller has device_lock().
  void unregister() TEEIO_EXCLUDES(registration_lock_, set().lock);

  // --- vf_token.cc ---

  /// A PF's token; null for what is none.
  [[nodiscard]] const std::shared_ptr<VfToken>& vf_token() const { return own_token_; }
  /// Whether somebody but its user may change the PF's VFs now. Errors: EBUSY while bound.
  Result<void> check_unbound() TEEIO_EXCLUDES(memory_lock_);
  /// Turns the PF's VFs on or, with 0, off, in its registers. Errors: EBUSY while bound.
  Result<void> set_virtual_functions(std::uint16_t count) TEEIO_EXCLUDES(memory_lock_);

  // --- regions.cc ---

  struct Region {
    std::uint64_t size = 0;  ///< of a ROM without an image as Linux has it: 0
    bool readable = false, writable = false, mappable = false;
    bool holds_msix_table = false;
  };
  /// Errors: EINVAL for VGA and beyond.
  Result<Region> region(std::uint32_t index) const;
  /// Access at a region's offset. Errors: EINVAL no such region or beyond its
  /// end; EIO while the device's memory is off or the device is bound; EFAULT
  /// past the end of config space; EBUSY a config write with effect while bound; ENOMEM
  /// of a ROM of which no image can be read, also because memory is off.
  Result<std::size_t> read(std::uint32_t index, std::uint64_t at, std::span<std::byte> out)
      TEEIO_EXCLUDES(memory_lock_);
  Result<std::size_t> write(std::uint32_t index, std::uint64_t at, ByteView in)
      TEEIO_EXCLUDES(memory_lock_);
  /// `rom` of sysfs. Errors: EIO while the device is bound, or there is no image to be read.
  Result<std::size_t> read_rom_images(std::uint64_t at, std::span<std::byte> out)
      TEEIO_EXCLUDES(memory_lock_);
  /// An access that sysfs asks nobody about, told whether the device is bound: until it ends no
  /// bind begins.
  void reach(const std::function<void(bool bound)>& access) TEEIO_EXCLUDES(memory_lock_);
  /// Whether a program may map that part; exposes it. Errors: EINVAL; EBUSY
  /// while bound.
  Result<void> mmap(std::uint32_t index, std::uint64_t at, std::uint64_t length)
      TEEIO_EXCLUDES(memory_lock_);
  /// VFIO_DEVICE_IOEVENTFD, `offset` as of the file. Errors: EINVAL no BAR's place, or one in the
  /// MSI-X table; IoEventFds::set()'s.
  Result<void> set_ioeventfd(std::uint64_t offset, std::uint64_t data, std::uint32_t size,
                             const EventFdArgument& given);
  void set_mapped_file(std::unique_ptr<mm::MappedFile> file) TEEIO_EXCLUDES(memory_lock_);
  /// The same, of a device that may be open several times: false when it has one.
  [[nodiscard]] bool offer_mapped_file(std::unique_ptr<mm::MappedFile> file)
      TEEIO_EXCLUDES(memory_lock_);

  // --- reset.cc ---

  enum class ResetBy : std::uint8_t {
    kHost,  ///< `reset` in sysfs: who calls has device_lock()
    kUser,  ///< VFIO_DEVICE_RESET
  };
  /// Errors: EINVAL no FLR; EBUSY while bound; kUser also EAGAIN while its driver comes or goes, or
  /// its VFs do (pci_try_reset_function()): the function is awake and unbound then all the same.
  Result<void> reset(ResetBy by) TEEIO_EXCLUDES(memory_lock_);

  // --- low_power.cc ---

  /// VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY, or with who is signalled when it is woken,
  /// _ENTRY_WITH_WAKEUP. The function sleeps from the end of the call on, while nobody has it
  /// Awake. Errors: EINVAL it was entered before and not left; EBUSY while bound.
  Result<void> enter_low_power(object::Ref<mm::EventFd> wakeup) TEEIO_EXCLUDES(memory_lock_);
  /// _EXIT: nothing where it was not entered. Precondition: the caller has it Awake.
  void leave_low_power() TEEIO_EXCLUDES(memory_lock_);

  // --- hot_reset.cc ---

  /// VFIO_DEVICE_GET_PCI_HOT_RESET_INFO's functions.
  [[nodiscard]] HotReset hot_reset_info() TEEIO_EXCLUDES(set().lock);
  [[nodiscard]] std::size_t hot_reset_functions() { return wiring_.bus.on_bus_of(bdf()).size(); }
  /// VFIO_DEVICE_PCI_HOT_RESET: with the groups of a device that was opened through one, or
  /// without. Errors: EINVAL a function on the bus is not in this device set, not in these
  /// groups or not this user's; EBUSY one is bound, or being accessed; EAGAIN as reset().
  using Groups = std::vector<object::Ref<object::File>>;
  Result<void> hot_reset(const Groups* groups = nullptr) TEEIO_EXCLUDES(set().lock);
  /// vfio_device_cdev_opened(): through its node, not through its group.
  [[nodiscard]] bool opened_by_node() TEEIO_EXCLUDES(set().lock);

  // --- dmabuf_export.cc ---

  struct Slice {
    std::uint64_t offset, length;
  };
  Result<void> check_exportable(std::uint32_t region) const;  ///< Errors: ENODEV no such BAR
  /// VFIO_DEVICE_FEATURE_DMA_BUF. Errors: those; EINVAL, EOVERFLOW for the ranges.
  Result<object::Ref<object::File>> export_dmabuf(std::uint32_t region,
                                                  std::span<const Slice> ranges)
      TEEIO_EXCLUDES(memory_lock_);

  // --- tsm.cc ---

  /// VFIO_DEVICE_TSM_BIND and _UNBIND of the RFC. Errors: Idevice::tsm_bind()'s;
  /// EINVAL when not opened through iommufd.
  Result<void> tsm_bind(std::uint32_t vdevice_id) TEEIO_EXCLUDES(set().lock);
  Result<void> tsm_unbind() TEEIO_EXCLUDES(set().lock);
  void hold_mmio() override TEEIO_EXCLUDES(memory_lock_);
  void disable_mmio() override TEEIO_EXCLUDES(memory_lock_);
  void recover_mmio() override TEEIO_EXCLUDES(memory_lock_);
  void set_bound(bool bound) override TEEIO_EXCLUDES(memory_lock_);

  [[nodiscard]] Irqs& irqs() { return irqs_; }
  [[nodiscard]] object::File* vm_file() override;
  void released(dmabuf::DmaBuf& buffer) override TEEIO_EXCLUDES(memory_lock_);

 private:
  struct Window {
    std::uint32_t bar;
    bool exposed;
  };

  Result<void> first_open(iommufd::Context* context, object::Ref<object::File> vm_file)
      TEEIO_REQUIRES(set().lock);
  void last_close() TEEIO_REQUIRES(set().lock);
  [[nodiscard]] bool in_groups(const Groups& groups) TEEIO_REQUIRES(set().lock);
  void disable() TEEIO_REQUIRES(set().lock);
  void leave_iommufd() TEEIO_REQUIRES(set().lock);
  void cleanup_dmabufs() TEEIO_EXCLUDES(memory_lock_);
  Result<void> enable() TEEIO_REQUIRES(set().lock) TEEIO_EXCLUDES(memory_lock_);
  /// __pci_reset_function_locked(), and what was saved is written back.
  void reset_alone(const SavedConfig& saved, hw::ResetKind kind = hw::ResetKind::kFunctionLevel)
      TEEIO_REQUIRES(memory_lock_);
  /// What an operation with effect does that found the device bound: EBUSY or an
  /// unbind. A bind may come before the caller has the lock again: it looks at
  /// bound_ once more.
  Result<void> leave_bound(std::string_view operation) TEEIO_EXCLUDES(memory_lock_);
  void reset_function(hw::ResetKind kind = hw::ResetKind::kFunctionLevel)
      TEEIO_REQUIRES(memory_lock_);
  /// pci_try_reset_function(). Errors: EAGAIN device_lock() is taken: mappings and dma-bufs were
  /// gone for a moment.
  Result<void> try_reset_function() TEEIO_REQUIRES(memory_lock_);
  [[nodiscard]] HotReset affected() TEEIO_REQUIRES(set().lock);
  /// Resets every device of `all`; or none, and gives one of them that is bound. Their
  /// locks are taken by try_lock, as Linux does. Errors: EBUSY one is being accessed.
  static Result<Device*> reset_together(const std::vector<Device*>& all);
  [[nodiscard]] bool memory_enabled() const TEEIO_REQUIRES_SHARED(memory_lock_);
  void move_dmabufs(bool revoked) TEEIO_REQUIRES(memory_lock_);
  Result<void> expose(std::uint32_t bar) TEEIO_REQUIRES(memory_lock_);
  void zap_mappings() TEEIO_REQUIRES(memory_lock_);
  void restore_mappings() TEEIO_REQUIRES(memory_lock_);
  void touched(object::Fact fact, std::string_view name, std::uint64_t how);
  /// After each access of the host's that reached the function: R4's fact, if the
  /// function is bound (where it is not nobody asks, and a program may poll). A
  /// check that was forgotten, or a lock that was let go in between, shows here.
  void touched_bound(object::HostTouch how) TEEIO_REQUIRES_SHARED(memory_lock_);
  void write_by_eventfd(const IoEventFds::Write& write) TEEIO_EXCLUDES(memory_lock_);
  std::size_t config_read(std::uint64_t at, std::span<std::byte> out);
  Result<void> config_write(std::uint64_t at, ByteView in) TEEIO_EXCLUDES(memory_lock_);
  Result<void> write_register(std::uint16_t at, unsigned size, std::uint32_t value)
      TEEIO_EXCLUDES(memory_lock_);
  Result<void> write_express(std::uint16_t at, unsigned size, std::uint32_t value)
      TEEIO_EXCLUDES(memory_lock_);
  Result<void> write_advanced_features(std::uint16_t at, unsigned size, std::uint32_t value)
      TEEIO_EXCLUDES(memory_lock_);
  void write_default(std::uint16_t at, unsigned size, std::uint32_t value)
      TEEIO_REQUIRES(memory_lock_);
  void set_read_request(std::uint16_t control) TEEIO_REQUIRES(memory_lock_);
  void fix_msi(std::uint16_t start) TEEIO_REQUIRES(memory_lock_);
  void set_power_state(std::uint32_t state) TEEIO_REQUIRES(memory_lock_);
  void write_power_state(std::uint32_t state) TEEIO_REQUIRES(memory_lock_);
  friend class Awake;
  void get_awake() TEEIO_EXCLUDES(memory_lock_);
  void put_awake() TEEIO_EXCLUDES(memory_lock_);
  void engage(bool engaged) TEEIO_REQUIRES(memory_lock_);
  void disengage() TEEIO_REQUIRES(memory_lock_);
  void suspend() TEEIO_REQUIRES(memory_lock_);
  void wake() TEEIO_REQUIRES(memory_lock_);
  static constexpr std::string_view kDeviceLocked = "the function's driver, or its VFs, come or go";
  [[nodiscard]] bool is_device_locked() const;
  [[nodiscard]] bool has_flr() const;
  [[nodiscard]] bool has_virtual_functions() const;
  void find_msix_table();
  void find_rom() TEEIO_REQUIRES(memory_lock_);
  Result<std::size_t> read_rom(std::uint64_t at, std::span<std::byte> out)
      TEEIO_EXCLUDES(memory_lock_);
  /// vfio_pci_bar_rw() looks at memory space for memory alone.
  Result<void> check_reachable(const hw::Bar& bar) const TEEIO_REQUIRES_SHARED(memory_lock_);
  Result<void> write_power(std::uint16_t at, unsigned size, std::uint32_t value)
      TEEIO_EXCLUDES(memory_lock_);
  Result<void> write_command(std::uint16_t at, unsigned size, std::uint32_t value)
      TEEIO_EXCLUDES(memory_lock_);
  Result<void> write_command_register(std::uint16_t at, unsigned size, std::uint32_t value)
      TEEIO_EXCLUDES(memory_lock_);
  void set_command(std::uint16_t at, unsigned size, std::uint32_t value, std::uint32_t now)
      TEEIO_REQUIRES(memory_lock_);

  const Wiring wiring_;
  const std::shared_ptr<VfToken> own_token_;
  schedule::Mutex registration_lock_{schedule::Rank::kLeaf};
  schedule::Condition unregistered_;                                      ///< Linux: device->comp
  std::uint32_t registrations_ TEEIO_GUARDED_BY(registration_lock_) = 0;  ///< open files
  bool leaving_ TEEIO_GUARDED_BY(registration_lock_) = false;
  std::uint32_t open_count_ TEEIO_GUARDED_BY(set().lock) = 0;
  bool opened_by_node_ TEEIO_GUARDED_BY(set().lock) = false;  // Linux: device->cdev_opened
  bool in_container_ TEEIO_GUARDED_BY(set().lock) = false;    // open, and not through an iommufd
  iommufd::Idevice* idevice_ TEEIO_GUARDED_BY(set().lock) = nullptr;
  object::Ref<object::File> context_file_ TEEIO_GUARDED_BY(set().lock);
  object::Ref<object::File> vm_file_ TEEIO_GUARDED_BY(set().lock);  // lent in vm_file()
  bool attached_ TEEIO_GUARDED_BY(set().lock) = false;
  std::set<std::uint32_t> pasids_ TEEIO_GUARDED_BY(set().lock);  ///< attached: vdev->pasids
  SavedConfig saved_config_ TEEIO_GUARDED_BY(set().lock);

  schedule::RwMutex memory_lock_{schedule::Rank::kVfioMemory};
  Irqs irqs_;
  IoEventFds ioeventfds_{[this](const IoEventFds::Write& write) { write_by_eventfd(write); }};
  bool bound_ TEEIO_GUARDED_BY(memory_lock_) = false;
  std::unique_ptr<mm::MappedFile> mapped_ TEEIO_GUARDED_BY(memory_lock_);
  std::vector<Window> windows_ TEEIO_GUARDED_BY(memory_lock_);
  std::vector<dmabuf::DmaBuf*> dmabufs_ TEEIO_GUARDED_BY(memory_lock_);  ///< oldest first
  unsigned msix_bar_ = hw::kBarCount;  // found in open(), as the next two
  Slice msix_table_{};                 ///< within that BAR; the host's to read and write
  bool has_image_ = false;             // its ROM; found in open()
  VirtualConfig config_;               // made in open(); its copy: memory_lock_
  bool asleep_ TEEIO_GUARDED_BY(memory_lock_) = false;  ///< D3hot (Linux: pdev->current_state)
  LowPower low_power_ TEEIO_GUARDED_BY(memory_lock_);
  schedule::Atomic<bool> engaged_{false};  ///< low_power_.engaged, for a look without the lock
  AwakeCount awake_;
  mutable schedule::Mutex kvm_ref_lock_{schedule::Rank::kVfioKvmRef};
  object::File* vm_file_borrowed_ TEEIO_GUARDED_BY(kvm_ref_lock_) = nullptr;
};

/// An open /dev/vfio/devices/vfioN, or what a group gave (Linux: struct vfio_device_file).
///
/// Lifetime: an open file. A node's: before BIND_IOMMUFD everything but the bind is
/// refused with EINVAL.
class DeviceFile final : public object::File, public kvm::VfioAssociation {
 public:
  /// Both take over a registration, which the release puts.
  explicit DeviceFile(Device& device) : File(object::FileKind::kVfioDevice), device_(device) {}
  /// A device that Group::open_device() has opened; the release closes it.
  DeviceFile(Device& device, object::Ref<Group> group)
      : File(object::FileKind::kVfioDevice),
        device_(device),
        group_(std::move(group)),
        access_granted_(true) {}

  /// VFIO_DEVICE_BIND_IOMMUFD. `iommufd` is the open file, or why there is none: looked at
  /// after the token, which is read after all else, as Linux does. Errors: EINVAL bound
  /// already, by this or another file, or from a group; EBUSY its group is open;
  /// Device::match_token()'s, Device::open()'s.
  Result<std::uint32_t> bind_iommufd(const Result<object::Ref<object::File>>& iommufd,
                                     const Result<std::optional<Uuid>>& token);
  /// Undoes a bind whose answer could not be copied back.
  void undo_bind();
  [[nodiscard]] bool access_granted() const { return access_granted_.load(); }
  [[nodiscard]] Device& device() { return device_; }
  [[nodiscard]] bool from_group() const { return static_cast<bool>(group_); }
  void set_vm(kvm::Vm* vm) override;
  /// The file behind this descriptor's mappings; the device's from the bind on. A group may
  /// give a device several times: the first one's mappings show its memory.
  void set_mapped_file(std::unique_ptr<mm::MappedFile> file);
  /// Whether this descriptor's mappings show the device's memory.
  [[nodiscard]] bool maps() const { return maps_.load(); }

 private:
  void release() override;
  Result<std::uint32_t> bind_locked(const Result<object::Ref<object::File>>& iommufd,
                                    const Result<std::optional<Uuid>>& token);
  void close();
  Device& device_;
  object::Ref<Group> group_;  ///< null: of the node (Linux: df->group)
  std::unique_ptr<mm::MappedFile> mapped_;
  schedule::Atomic<bool> access_granted_{false};
  schedule::Atomic<bool> maps_{true};
  schedule::Mutex kvm_ref_lock_{schedule::Rank::kVfioKvmRef};
  kvm::Vm* vm_ TEEIO_GUARDED_BY(kvm_ref_lock_) = nullptr;
};

}  // namespace teeio::vfio
