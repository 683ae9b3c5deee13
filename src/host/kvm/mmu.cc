#include "host/kvm/mmu.h"

#include <vector>

#include "host/kvm/dmabuf_slot.h"
#include "host/kvm/gmem.h"
#include "host/kvm/kvm.h"
#include "host/kvm/vm.h"
#include "schedule/seeded_bug.h"

namespace teeio::kvm {
namespace {

FaultOutcome memory_fault(bool is_private) {
  return {.kind = FaultOutcome::Kind::kMemoryFault, .is_private = is_private};
}
FaultOutcome error(Error e) { return {.kind = FaultOutcome::Kind::kError, .error = e}; }

std::uint64_t gfn_of(Gpa page) { return raw(page) >> kPageShift; }

}  // namespace

std::expected<hw::GuestMapping, hw::GuestMemory::Miss> Mmu::lookup(Gpa page,
                                                                   hw::GuestAccess access) {
  const Gpa address = vm_.ops().strip(page);
  const std::optional<bool> by_address = vm_.ops().is_private(page);
  const bool is_private =
      by_address ? *by_address : vm_.ops().has_private_memory() && vm_.is_private(address);
  // Never waits: whoever invalidates holds mmu_lock and waits for this vCPU to
  // leave the guest, which a fault exit makes it do.
  if (!mmu_lock_.try_lock()) return std::unexpected(hw::GuestMemory::Miss::kFault);
  bool exception = false;
  const auto found = [&]() -> std::optional<hw::GuestMapping> {
    mmu_lock_.assert_held();
    if (is_private && vm_.ops().has_secure_table()) {
      const auto mapping = vm_.ops().lookup_private(address);
      exception = !mapping && vm_.ops().raises_exception(address);
      return mapping;
    }
    if (const auto at = private_.find(gfn_of(address)); is_private && at != private_.end())
      return hw::GuestMapping{.address = at->second.address};
    if (const auto at = shared_.find(gfn_of(address)); !is_private && at != shared_.end())
      return at->second;
    return std::nullopt;
  }();
  const bool store = !is_private && access == hw::GuestAccess::kWrite;
  const bool refused = store && found && !found->writable;
  if (found && store && !refused && !dirty_logs_.empty()) mark_dirty(address);
  const bool emulated = refused || (!found && !is_private && emulated_.contains(gfn_of(address))) ||
                        (!found && store && emulated_stores_.contains(gfn_of(address)));
  mmu_lock_.unlock();
  if (found && !refused) return *found;
  if (exception) return std::unexpected(hw::GuestMemory::Miss::kException);
  return std::unexpected(emulated ? hw::GuestMemory::Miss::kEmulated
                                  : hw::GuestMemory::Miss::kFault);
}

std::uint64_t Mmu::invalidate_seq() {
  const schedule::Lock lock(mmu_lock_);
  return invalidate_seq_;
}

FaultOutcome Mmu::fault(mm::Caller& caller, Gpa page, hw::GuestAccess access) {
  const Gpa address = vm_.ops().strip(page);
  const bool has_private = vm_.ops().has_private_memory();
  const std::uint64_t seq = invalidate_seq();
  const bool attribute = has_private && vm_.is_private(address);
  const bool is_private = vm_.ops().is_private(page).value_or(attribute);
  // kvm_mmu_faultin_pfn(): the attribute must agree before anything is looked up.
  if (is_private != attribute) return memory_fault(is_private);

  const schedule::ReadLock srcu(vm_.srcu());
  Slot* slot = vm_.find_slot(address);
  if (slot != nullptr)
    return is_private ? fault_private(*slot, address, seq)
                      : fault_shared(caller, *slot, address, access, seq);
  if (is_private) return memory_fault(true);
  const schedule::Lock lock(mmu_lock_);
  emulated_.insert(gfn_of(address));
  return {.kind = FaultOutcome::Kind::kEmulate};
}

void Mmu::retry_faults() {
  const schedule::Lock lock(mmu_lock_);
  ++invalidate_seq_;
}

FaultOutcome Mmu::fault_private(Slot& slot, Gpa page, std::uint64_t seq) {
  const std::uint64_t offset = page - slot.start;
  if (slot.dmabuf != nullptr) {
    const auto address = slot.dmabuf->lookup(offset);
    if (!address) return error(address.error());
    return install_private(page, *address, PageKind::kMmio, seq);
  }
  if (slot.gmem == nullptr) return memory_fault(true);
  Hpa address{0};
  const auto ready = slot.gmem->populate(slot.gmem_offset + offset, [&](Hpa frame) {
    address = frame;
    return vm_.ops().gmem_prepare(page, frame);
  });
  if (!ready) return error(ready.error());
  return install_private(page, address, PageKind::kRam, seq);
}

FaultOutcome Mmu::install_private(Gpa page, Hpa address, PageKind kind, std::uint64_t seq) {
  const bool looks = !schedule::seeded("fault-ignores-revoke");
  const schedule::Lock lock(mmu_lock_);
  if (invalidate_seq_ != seq && looks) return {};  // mmu_invalidate_retry()
  if (private_.contains(gfn_of(page))) {
    // Mapped already and still faulting: the guest has to accept it first, or
    // another vCPU was faster. Either way the guest's next try decides.
    return {};
  }
  if (vm_.dead()) return error({Errno::kIo, "the VM is dead (KVM_BUG_ON)"});
  if (auto mapped = vm_.ops().map_private(page, address, kind); !mapped) {
    if (mapped.error().code == Errno::kBusy) return {};
    vm_.bug("the firmware refused to map a private page");
    return error({Errno::kIo, mapped.error().why});
  }
  private_.emplace(gfn_of(page), Private{.address = address, .kind = kind});
  return {};
}

FaultOutcome Mmu::fault_shared(mm::Caller& caller, Slot& slot, Gpa page, hw::GuestAccess access,
                               std::uint64_t seq) {
  const std::uint64_t offset = page - slot.start;
  hw::GuestMapping mapping{.address = Hpa{0}};
  std::unique_ptr<UserPages> pinned;
  if (slot.dmabuf != nullptr) {
    const auto address = slot.dmabuf->lookup(offset);
    if (!address) return error(address.error());
    mapping.address = *address;
    mapping.mmio = true;
  } else if (slot.gmem_only) {
    if (slot.gmem == nullptr) return memory_fault(false);
    const auto ready = slot.gmem->populate(slot.gmem_offset + offset, [&](Hpa frame) {
      mapping.address = frame;
      return vm_.ops().gmem_prepare(page, frame);
    });
    if (!ready) return error(ready.error());
  } else {
    const bool writable = (slot.flags & kMemReadonly) == 0;
    if (!writable && access == hw::GuestAccess::kWrite) {
      const schedule::Lock lock(mmu_lock_);
      emulated_stores_.insert(gfn_of(page));
      return {.kind = FaultOutcome::Kind::kEmulate};
    }
    mapping.writable = writable;
    bool present = false;
    {
      const schedule::Lock lock(mmu_lock_);
      present = slot.shared != nullptr;
    }
    if (!present) {
      auto pages = caller.memory().pin(slot.userspace_addr, slot.size,
                                       writable ? mm::Access::kReadWrite : mm::Access::kRead);
      if (!pages) return error({Errno::kFault, "a memslot's program memory is not there"});
      auto made = UserPages::create(vm_.kvm().memory(), std::move(*pages));
      if (!made) return error(made.error());
      pinned = std::move(*made);
    }
  }
  const schedule::Lock lock(mmu_lock_);
  if (invalidate_seq_ != seq) return {};
  if (slot.dmabuf == nullptr && !slot.gmem_only) {
    if (slot.shared == nullptr) slot.shared = std::move(pinned);
    mapping.address = slot.shared->base() + offset;
  }
  emulated_.erase(gfn_of(page));
  shared_.insert_or_assign(gfn_of(page), mapping);
  return {};
}

void Mmu::zap(Gpa start, std::uint64_t size, Zap what) {
  const schedule::Lock lock(mmu_lock_);
  ++invalidate_seq_;
  const std::uint64_t first = gfn_of(start);
  const std::uint64_t end = first + (size >> kPageShift);
  forget_emulated(first, end);
  if (what != Zap::kPrivate) {
    const auto from = shared_.lower_bound(first);
    const auto to = shared_.lower_bound(end);
    if (from != to) {
      shared_.erase(from, to);
      vm_.flush_remote_tlbs(start, size);
    }
  }
  if (what != Zap::kShared) zap_private(first, end);
}

void Mmu::memory_came(Gpa start, std::uint64_t size) {
  const schedule::Lock lock(mmu_lock_);
  const std::uint64_t first = gfn_of(start);
  if (forget_emulated(first, first + (size >> kPageShift))) vm_.flush_remote_tlbs(start, size);
}

bool Mmu::forget_emulated(std::uint64_t first, std::uint64_t end) {
  const std::size_t before = emulated_.size() + emulated_stores_.size();
  for (std::set<std::uint64_t>* pages : {&emulated_, &emulated_stores_})
    pages->erase(pages->lower_bound(first), pages->lower_bound(end));
  return emulated_.size() + emulated_stores_.size() != before;
}

void Mmu::zap_private(std::uint64_t first, std::uint64_t end) {
  std::map<std::uint64_t, Private> doomed(private_.lower_bound(first), private_.lower_bound(end));
  // After KVM_BUG_ON the MMIO that the firmware would not let go stays for the
  // TSM driver's emergency exit (reclaim_mmio()); RAM goes back as ever.
  if (vm_.ops().has_secure_table() && vm_.dead())
    std::erase_if(doomed, [](const auto& e) { return e.second.kind == PageKind::kMmio; });
  if (!doomed.empty()) remove_entries(doomed);
}

void Mmu::remove_entries(const std::map<std::uint64_t, Private>& doomed) {
  const auto gpa_of = [](std::uint64_t gfn) { return Gpa{gfn << kPageShift}; };
  VmOps& ops = vm_.ops();
  std::vector<std::uint64_t> blocked;
  for (const auto& [gfn, entry] : doomed) {
    if (ops.block_private(gpa_of(gfn), entry.kind))
      blocked.push_back(gfn);
    else
      vm_.bug("the firmware refused to block a private page");
  }
  // The new epoch first, then every vCPU out of the old one.
  if (!ops.track()) vm_.bug("the firmware refused to track private pages");
  const std::uint64_t first = doomed.begin()->first;
  vm_.flush_remote_tlbs(gpa_of(first), (doomed.rbegin()->first - first + 1) << kPageShift);
  for (const std::uint64_t gfn : blocked) {
    if (ops.remove_private(gpa_of(gfn), doomed.at(gfn).kind))
      private_.erase(gfn);
    else
      vm_.bug("the firmware refused to remove a private page");
  }
}

void Mmu::reclaim_mmio(Hpa start, std::uint64_t size) {
  const schedule::Lock lock(mmu_lock_);
  ++invalidate_seq_;
  std::map<std::uint64_t, Private> doomed;
  for (const auto& [gfn, entry] : private_)
    if (entry.kind == PageKind::kMmio && entry.address >= start && entry.address - start < size)
      doomed.emplace(gfn, entry);
  for (const auto& [gfn, entry] : doomed) {
    // Blocked already by the zap that was refused, unless it never got there.
    (void)vm_.ops().block_private(Gpa{gfn << kPageShift}, entry.kind);
  }
  if (doomed.empty()) return;
  (void)vm_.ops().track();
  const std::uint64_t first = doomed.begin()->first;
  vm_.flush_remote_tlbs(Gpa{first << kPageShift}, (doomed.rbegin()->first - first + 1)
                                                      << kPageShift);
  for (const auto& [gfn, entry] : doomed)
    if (vm_.ops().remove_private(Gpa{gfn << kPageShift}, entry.kind)) private_.erase(gfn);
}

std::optional<hw::GuestMapping> Mmu::shared_page(Gpa page) {
  const schedule::Lock lock(mmu_lock_);
  const auto at = shared_.find(gfn_of(page));
  return at == shared_.end() ? std::nullopt : std::optional(at->second);
}

void Mmu::adopt_private(Gpa page, Hpa address) {
  const schedule::Lock lock(mmu_lock_);
  private_.insert_or_assign(gfn_of(page), Private{.address = address, .kind = PageKind::kRam});
}

Result<void> Mmu::adopt_private(Gpa page, Hpa address, const std::function<Result<void>()>& map) {
  const schedule::Lock lock(mmu_lock_);
  if (private_.contains(gfn_of(page))) return fail(Errno::kExist, "the page is mapped already");
  TEEIO_TRY(map());
  private_.emplace(gfn_of(page), Private{.address = address, .kind = PageKind::kRam});
  return {};
}

FaultOutcome Mmu::fault_private(Gpa page) {
  const std::uint64_t seq = invalidate_seq();
  if (!vm_.is_private(page)) return memory_fault(true);
  const schedule::ReadLock srcu(vm_.srcu());
  Slot* slot = vm_.find_slot(page);
  return slot == nullptr ? memory_fault(true) : fault_private(*slot, page, seq);
}

Result<void> Mmu::map_device(Gpa page, Hpa address) {
  const schedule::Lock lock(mmu_lock_);
  if (const auto at = private_.find(gfn_of(page)); at != private_.end()) {
    if (at->second.address == address) return {};
    return fail(Errno::kBusy, "other private memory is mapped there");
  }
  if (vm_.dead()) return fail(Errno::kIo, "the VM is dead (KVM_BUG_ON)");
  TEEIO_TRY(vm_.ops().map_private(page, address, PageKind::kMmio));
  private_.emplace(gfn_of(page), Private{.address = address, .kind = PageKind::kMmio});
  return {};
}

std::size_t Mmu::mapped_pages() {
  const schedule::Lock lock(mmu_lock_);
  return shared_.size() + private_.size();
}

std::size_t Mmu::private_mmio_pages() {
  const schedule::Lock lock(mmu_lock_);
  std::size_t count = 0;
  for (const auto& [gfn, entry] : private_)
    if (entry.kind == PageKind::kMmio) ++count;
  return count;
}

}  // namespace teeio::kvm
