#include "host/vfio/device.h"

#include <limits>

#include "base/check.h"
#include "host/iommufd/vfio_compat.h"
#include "host/kvm/vm_file.h"
#include "host/vfio/interrupt_disable.h"
#include "host/vfio/pci_registers.h"
#include "schedule/consulted.h"
#include "schedule/seeded_bug.h"

namespace teeio::vfio {

Device::Device(const Wiring& wiring)
    : wiring_(wiring),
      own_token_(wiring.has_vfs ? std::make_shared<VfToken>() : nullptr),
      irqs_(wiring.function, wiring.interrupts, memory_lock_,
            [&bus = wiring.bus] { bus.vectors_changed(); }),
      config_(wiring.function) {}

Device::~Device() { TEEIO_CHECK(open_count_ == 0, "a device goes while a program has it open"); }

Result<std::uint32_t> Device::open(iommufd::Context& context, object::Ref<object::File> vm_file) {
  if (open_count_ != 0) return fail(Errno::kInval, "another file has the device");
  TEEIO_TRY(first_open(&context, std::move(vm_file)));
  opened_by_node_ = true;
  return idevice_->id();
}

void Device::close() {
  TEEIO_CHECK(open_count_ == 1, "a node's device has several users");
  last_close();
  opened_by_node_ = false;
}

Result<void> Device::open_in_group(Group& group, iommufd::Context* context,
                                   object::Ref<object::File> vm_file) {
  if (open_count_ != 0) {
    ++open_count_;
    return {};
  }
  if (context == nullptr) {
    TEEIO_TRY(group.use_container());
    in_container_ = true;
    auto opened = first_open(nullptr, std::move(vm_file));
    if (!opened) group.unuse_container();
    in_container_ = opened.has_value();
    return opened;
  }
  TEEIO_TRY(first_open(context, std::move(vm_file)));
  // vfio_iommufd_compat_attach_ioas()
  const auto attached = [&]() -> Result<void> {
    set().lock.assert_held();
    TEEIO_ASSIGN(const iommufd::ObjectId ioas, iommufd::VfioCompat(*context).get());
    TEEIO_TRY(idevice_->attach(ioas));
    return {};
  }();
  attached_ = attached.has_value();
  if (!attached_) last_close();
  return attached;
}

void Device::close_in_group(Group& group) {
  if (open_count_ != 1) {
    --open_count_;
    return;
  }
  last_close();
  if (in_container_) group.unuse_container();
  in_container_ = false;
}

/// vfio_df_device_first_open() and vfio_pci_open_device().
Result<void> Device::first_open(iommufd::Context* context, object::Ref<object::File> vm_file) {
  const iommufd::VmHandle vm{
      .file = vm_file.get(),
      .number = vm_file ? static_cast<kvm::VmFile&>(*vm_file).vm().number() : 0};
  if (context != nullptr) {
    TEEIO_ASSIGN(idevice_, iommufd::Idevice::bind(*context, *this, vm));
    context_file_ = object::Ref<object::File>::share(*context);
  }
  if (auto enabled = enable(); !enabled) {
    leave_iommufd();
    context_file_.reset();
    return enabled;
  }
  open_count_ = 1;
  vm_file_ = std::move(vm_file);
  {
    const schedule::Lock lock(kvm_ref_lock_);
    vm_file_borrowed_ = vm_file_.get();
  }
  wiring_.tsm.set_handlers(bdf(), this);
  if (wiring_.token_of_pf != nullptr) wiring_.token_of_pf->use();
  return {};
}

/// vfio_pci_core_enable(). Memory and bus mastering are as the program will set them. The lock is
/// held to the end: root's `reset` in sysfs may have yet to write back what it has saved.
Result<void> Device::enable() {
  auto call = trace().call(object::Lane::kDevice, "enable and reset", {.function = bdf()});
  {
    const schedule::WriteLock memory(memory_lock_);
    bound_ = false;  // the last owner's may have been left behind, see set_handlers()
    set_power_state(0);
    pci().config_write(kCommand, 2, pci().config_read(kCommand, 2) & ~kCommandMaster);
    if (is_device_locked()) return fail(Errno::kAgain, kDeviceLocked);
    if (has_flr()) reset_alone(SavedConfig(pci()));
    saved_config_ = SavedConfig(pci());
    set_interrupt_disable(pci(), false);
    config_.init();
    find_msix_table();
    find_rom();
  }
  wiring_.bus.claim_memory(bdf());  // vfio_pci_core_map_bars()
  return {};
}

/// vfio_df_device_last_close().
void Device::last_close() {
  schedule::consult("close_order");
  if (wiring_.token_of_pf != nullptr) wiring_.token_of_pf->put();
  const bool as_mainline = schedule::seeded("mainline-close");
  switch (as_mainline ? CloseOrder::kMainline : wiring_.policies.close_order) {
    case CloseOrder::kUnbindFirst:
      leave_iommufd();
      cleanup_dmabufs();
      disable();
      break;
    case CloseOrder::kMainline:
      cleanup_dmabufs();
      disable();
      leave_iommufd();
      break;
  }
  wiring_.tsm.set_handlers(bdf(), nullptr);
  {
    const schedule::Lock lock(kvm_ref_lock_);
    vm_file_borrowed_ = nullptr;
  }
  vm_file_.reset();
  context_file_.reset();
  open_count_ = 0;
}

/// vfio_df_iommufd_unbind().
void Device::leave_iommufd() {
  if (idevice_ == nullptr) return;  // in a container
  for (const std::uint32_t pasid : pasids_) idevice_->detach(pasid);
  pasids_.clear();
  if (attached_) idevice_->detach();
  attached_ = false;
  idevice_->unbind();
  idevice_ = nullptr;
}

/// vfio_pci_core_disable(): stop DMA and interrupts, put the function back as it
/// was before it was opened.
void Device::disable() {
  auto call = trace().call(object::Lane::kDevice, "disable and reset", {.function = bdf()});
  {
    const schedule::WriteLock lock(memory_lock_);
    low_power_.wakeup.reset();
    wake();
    disengage();
    write_power_state(0);
  }
  const std::uint32_t command = pci().config_read(kCommand, 2);
  touched(object::Fact::kHostTouched, "bus mastering cleared",
          static_cast<std::uint64_t>(object::HostTouch::kConfigWrite));
  pci().config_write(kCommand, 2, command & ~kCommandMaster);
  irqs_.disable_all();
  ioeventfds_.clear();
  // To the end: root's `reset` in sysfs would save what this has reset, and write it back last.
  const schedule::WriteLock memory(memory_lock_);
  zap_mappings();
  windows_.clear();
  mapped_.reset();
  pci().config_write(kCommand, 2, kCommandIntxDisable);
  // pci_dev_trylock(): where it is taken, whoever opens the function next resets it.
  if (has_flr() && !is_device_locked())
    reset_alone(saved_config_);
  else
    saved_config_.restore(pci());
  asleep_ = false;
}

Result<std::uint32_t> Device::attach(std::uint32_t pt_id) {
  const schedule::Lock lock(set().lock);
  if (idevice_ == nullptr) return fail(Errno::kInval, "the device is not bound to an iommufd");
  auto id = attached_ ? idevice_->replace(pt_id) : idevice_->attach(pt_id);
  if (id) attached_ = true;
  return id;
}

void Device::detach() {
  const schedule::Lock lock(set().lock);
  if (idevice_ == nullptr || !attached_) return;
  idevice_->detach();
  attached_ = false;
}

Result<std::uint32_t> Device::attach_pasid(std::uint32_t pt_id, std::uint32_t pasid) {
  const schedule::Lock lock(set().lock);
  if (idevice_ == nullptr) return fail(Errno::kInval, "the device is not bound to an iommufd");
  if (pasids_.contains(pasid)) return idevice_->replace(pt_id, pasid);
  if (pasid > static_cast<std::uint32_t>(std::numeric_limits<std::int32_t>::max()))
    return fail(Errno::kNoSpc, "a PASID is a positive int");
  TEEIO_ASSIGN(const std::uint32_t id, idevice_->attach(pt_id, pasid));
  pasids_.insert(pasid);
  return id;
}

void Device::detach_pasid(std::uint32_t pasid) {
  const schedule::Lock lock(set().lock);
  if (idevice_ == nullptr || pasids_.erase(pasid) == 0) return;
  idevice_->detach(pasid);
}

bool Device::in_use() {
  const schedule::Lock lock(set().lock);
  return open_count_ != 0;
}

bool Device::opened_by_node() {
  const schedule::Lock lock(set().lock);
  return opened_by_node_;
}

object::File* Device::vm_file() {
  const schedule::Lock lock(kvm_ref_lock_);
  return vm_file_borrowed_;
}

void Device::touched(object::Fact fact, std::string_view name, std::uint64_t how) {
  trace().fact(object::Lane::kVfio, fact, name, {.function = bdf(), .a = how});
}

void Device::touched_bound(object::HostTouch how) {
  if (!bound_) return;
  touched(object::Fact::kHostTouched, "the host reaches the function",
          static_cast<std::uint64_t>(how));
}

// --- The open file ---

Result<std::uint32_t> DeviceFile::bind_iommufd(const Result<object::Ref<object::File>>& iommufd,
                                               const Result<std::optional<Uuid>>& token) {
  if (group_) return fail(Errno::kInval, "the device file comes from a group");
  TEEIO_TRY(device_.group().block());
  auto id = bind_locked(iommufd, token);
  if (!id) device_.group().unblock();
  return id;
}

Result<std::uint32_t> DeviceFile::bind_locked(const Result<object::Ref<object::File>>& iommufd,
                                              const Result<std::optional<Uuid>>& token) {
  const schedule::Lock lock(device_.set().lock);
  if (access_granted()) return fail(Errno::kInval, "the device file is bound already");
  if (!token) return std::unexpected(token.error());
  TEEIO_TRY(device_.match_token(*token));
  if (!iommufd) return std::unexpected(iommufd.error());
  auto& context = static_cast<iommufd::Context&>(**iommufd);
  const bool too_late = schedule::seeded("raw-vm-pointer");
  object::Ref<object::File> vm_file;
  kvm::Vm* vm = nullptr;
  {
    const schedule::Lock kvm_lock(kvm_ref_lock_);
    vm = vm_;
    if (vm != nullptr && !too_late) vm_file = vm->active_file();
  }
  if (vm != nullptr && too_late) vm_file = vm->active_file();
  TEEIO_ASSIGN(const std::uint32_t id, device_.open(context, std::move(vm_file)));
  device_.set_mapped_file(std::move(mapped_));
  access_granted_.store(true);
  return id;
}

void DeviceFile::undo_bind() {
  {
    const schedule::Lock lock(device_.set().lock);
    access_granted_.store(false);
    device_.close();
  }
  device_.group().unblock();
}

void DeviceFile::set_mapped_file(std::unique_ptr<mm::MappedFile> file) {
  if (from_group())
    maps_.store(device_.offer_mapped_file(std::move(file)));
  else
    mapped_ = std::move(file);
}

void DeviceFile::set_vm(kvm::Vm* vm) {
  const schedule::Lock lock(kvm_ref_lock_);
  vm_ = vm;
}

void DeviceFile::release() {
  if (access_granted()) close();
  device_.put_registration();
}

void DeviceFile::close() {
  const object::DelayedPuts scope;  // the group's file is put under the group's lock
  auto call = device_.trace().call(object::Lane::kVfio, "release", {.function = device_.bdf()});
  if (group_) {
    group_->close_device(device_);
    group_.reset();
    return;
  }
  {
    const schedule::Lock lock(device_.set().lock);
    device_.close();
  }
  device_.group().unblock();
}

}  // namespace teeio::vfio
