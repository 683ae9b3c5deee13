#include "host/kvm/vm.h"

#include "base/check.h"
#include "host/kvm/dmabuf_slot.h"
#include "host/kvm/gmem.h"
#include "host/kvm/kvm.h"
#include "host/kvm/vcpu_file.h"
#include "host/kvm/vm_file.h"

namespace teeio::kvm {
namespace {

using object::Fact;
using object::Lane;

constexpr std::uint64_t kAttributePrivate = 1ULL << 3U;  // KVM_MEMORY_ATTRIBUTE_PRIVATE
/// Where a program's addresses end: TASK_SIZE_MAX with 4-level paging.
constexpr std::uint64_t kTaskSize = 0x7fff'ffff'f000;

}  // namespace

Result<void> VmOps::guest_enables_dma(Bdf) {
  return fail(Errno::kOpNotSupp, "the VM has no trusted DMA");
}

std::optional<VcpuExit> VmOps::complete_exit(Vcpu&, const VcpuExit&, const VcpuCompletion&) {
  return std::nullopt;
}

VmOps::GuestCallAction VmOps::guest_call(Vcpu&, VcpuExit& exit) {
  // Outside of a confidential VM the instruction is undefined.
  exit.reason = VcpuExit::Reason::kShutdown;
  return GuestCallAction::kExit;
}

Result<object::Ref<Vm>> Vm::create(Kvm& kvm, VmTypeFactory* type, std::uint32_t number,
                                   std::uint64_t mm_id) {
  auto* const made = new Vm(kvm, number, mm_id);
  {
    const schedule::RawLockGuard guard(made->memory_lock_);
    made->memory_ = std::shared_ptr<Vm>(made, [](Vm* vm) { delete vm; });
  }
  auto vm = object::Ref<Vm>::adopt(made);
  if (type != nullptr) vm->type_ = type->type();
  if (type == nullptr)
    vm->ops_ = std::make_unique<VmOps>();
  else {
    TEEIO_ASSIGN(vm->ops_, type->make(*vm));
  }
  kvm.trace().fact(Lane::kKvm, Fact::kVmCreated, "VM created", {.vm = number});
  return vm;
}

Vm::Vm(Kvm& kvm, std::uint32_t number, std::uint64_t mm_id)
    : kvm_(kvm),
      number_(number),
      mm_id_(mm_id),
      mmu_(std::make_unique<Mmu>(*this)),
      irq_fds_(x86_.interrupts(), kvm.taken_event_fds()) {}

Vm::~Vm() = default;

std::shared_ptr<Vm> Vm::memory() {
  memory_turn_.touch(0, schedule::Touch::How::kRead);
  const schedule::RawLockGuard guard(memory_lock_);
  return memory_;
}

bool Vm::gone() {
  memory_turn_.touch(0, schedule::Touch::How::kRead);
  const schedule::RawLockGuard guard(memory_lock_);
  return memory_ == nullptr;
}

void Vm::last_put() {
  destroy();
  std::shared_ptr<Vm> memory;  // goes after the guard, which is in it
  memory_turn_.touch(0, schedule::Touch::How::kWrite);
  const schedule::RawLockGuard guard(memory_lock_);
  memory.swap(memory_);
}

/// The devices went with their files; then memslots and what they mapped; then
/// the vendor gives keys and control pages back.
void Vm::destroy() {
  if (ops_ == nullptr) return;  // the vendor refused to make it
  auto call = trace().call(Lane::kKvm, "kvm_destroy_vm", {.vm = number_});
  std::map<std::uint32_t, std::unique_ptr<Slot>> slots;
  {
    const schedule::WriteLock lock(srcu_);
    slots.swap(slots_);
  }
  // Each guest_memfd held the VM, so only MMIO and shared pages can be left.
  for (const auto& [id, slot] : slots) mmu_->zap(slot->start, slot->size, Zap::kBoth);
  slots.clear();
  destroy_vcpus();
  ops_->destroy(*this);
  trace().fact(Lane::kKvm, Fact::kVmDestroyed, "VM destroyed", {.vm = number_});
}

object::Trace& Vm::trace() const { return kvm_.trace(); }

void Vm::bug(std::string_view why) {
  if (dead_.exchange(true)) return;
  trace().fact(Lane::kKvm, Fact::kVmDead, why, {.detail = "KVM_BUG_ON", .vm = number_});
}

Result<void> Vm::check_usable(std::uint64_t mm_id) const {
  if (mm_id != mm_id_) return fail(Errno::kIo, "the VM belongs to another address space");
  if (dead()) return fail(Errno::kIo, "the VM is dead (KVM_BUG_ON)");
  return {};
}

Result<void> Vm::set_memory_region(mm::Caller& caller, const MemoryRegion& region) {
  std::uint32_t valid = kMemLogDirtyPages | kMemReadonly | kMemGuestMemfd;
  if (ops_->has_private_memory()) valid |= kMemVfioDmabuf;
  if ((region.flags & kMemGuestMemfd) != 0) valid = kMemGuestMemfd;
  if ((region.flags & kMemVfioDmabuf) != 0) valid = kMemVfioDmabuf;
  if ((region.flags & ~valid) != 0)
    return fail(Errno::kInval, "a memslot flag is unknown or does not go with the others");
  if (!is_page_aligned(region.memory_size) || !is_page_aligned(region.guest_phys_addr) ||
      !is_page_aligned(region.userspace_addr))
    return fail(Errno::kInval, "a memslot is not page aligned");
  if (region.userspace_addr > kTaskSize || region.memory_size > kTaskSize - region.userspace_addr)
    return fail(Errno::kInval, "a memslot is beyond the program's addresses");
  if ((region.flags & kMemGuestMemfd) != 0 &&
      (!is_page_aligned(region.guest_memfd_offset) ||
       region.guest_memfd_offset + region.memory_size < region.guest_memfd_offset))
    return fail(Errno::kInval, "the guest_memfd offset of a memslot is wrong");
  if ((region.flags & kMemVfioDmabuf) != 0 && region.guest_memfd_offset != 0)
    return fail(Errno::kInval, "a KVM_MEM_VFIO_DMABUF slot starts at offset 0 of its dma-buf");
  if (region.slot >= kUserMemSlots) return fail(Errno::kInval, "no such memslot number");
  if (region.guest_phys_addr + region.memory_size < region.guest_phys_addr)
    return fail(Errno::kInval, "a memslot wraps around the address space");
  if (region.memory_size >> kPageShift > kMaxSlotPages)
    return fail(Errno::kInval, "a memslot has too many pages");
  // kvm_arch_prepare_memory_region(): kvm_mmu_max_gfn(), of the widest address there is.
  constexpr std::uint64_t kAddressesEnd = std::uint64_t{1} << 52U;
  if (region.memory_size != 0 && region.guest_phys_addr + region.memory_size > kAddressesEnd)
    return fail(Errno::kInval, "a memslot is beyond the guest's physical addresses");

  // fget() needs no lock in Linux; here the descriptor table's comes before
  // slots_lock, and what it says is looked at where Linux would.
  Result<object::Ref<object::File>> backing;
  if ((region.flags & (kMemGuestMemfd | kMemVfioDmabuf)) != 0)
    backing = caller.file(region.guest_memfd);
  const schedule::Lock lock(slots_lock_);
  Slot* old = nullptr;
  {
    const schedule::ReadLock reader(srcu_);
    if (const auto at = slots_.find(region.slot); at != slots_.end()) old = at->second.get();
  }
  if (region.memory_size == 0) {
    if (old == nullptr) return fail(Errno::kInval, "there is no such memslot to delete");
    return delete_slot(region.slot);
  }
  if (old == nullptr) return create_slot(region, std::move(backing));
  return modify_slot(*old, region);
}

Result<void> Vm::modify_slot(Slot& slot, const MemoryRegion& region) {
  constexpr std::uint32_t kBacking = kMemGuestMemfd | kMemVfioDmabuf;
  if ((region.flags & kBacking) != 0)
    return fail(Errno::kInval, "a memslot of a guest_memfd or dma-buf can only be deleted");
  if (region.userspace_addr != slot.userspace_addr || region.memory_size != slot.size ||
      ((region.flags ^ slot.flags) & (kMemReadonly | kBacking)) != 0)
    return fail(Errno::kInval, "a memslot cannot change its backing, size or kind");
  const Gpa target{region.guest_phys_addr};
  if (target != slot.start) {
    {
      const schedule::ReadLock reader(srcu_);
      for (const auto& [id, other] : slots_)
        if (other.get() != &slot && other->overlaps(target, region.memory_size))
          return fail(Errno::kExist, "a memslot overlaps another one");
    }
  }
  const Gpa old_start = slot.start;
  const std::uint32_t old_flags = slot.flags;
  {
    const schedule::WriteLock writer(srcu_);
    slot.start = target;
    slot.flags = region.flags;
  }
  // After the writer, which waits for faults that saw the slot at its old place.
  if (target != old_start) {
    mmu_->zap(old_start, slot.size, Zap::kBoth);
    mmu_->memory_came(target, slot.size);
  }
  if (((region.flags ^ old_flags) & kMemLogDirtyPages) != 0 || target != old_start)
    update_dirty_log(slot);
  return {};
}

Result<void> Vm::create_slot(const MemoryRegion& region,
                             Result<object::Ref<object::File>> backing) {
  const Gpa start{region.guest_phys_addr};
  {
    const schedule::ReadLock reader(srcu_);
    for (const auto& [id, other] : slots_)
      if (other->overlaps(start, region.memory_size))
        return fail(Errno::kExist, "a memslot overlaps another one");
  }
  auto slot = std::make_unique<Slot>(region);
  if ((region.flags & (kMemGuestMemfd | kMemVfioDmabuf)) != 0) {
    TEEIO_ASSIGN(object::Ref<object::File> file, std::move(backing));
    if ((region.flags & kMemVfioDmabuf) != 0) {
      TEEIO_ASSIGN(slot->dmabuf,
                   DmaBufSlot::create(*this, std::move(file), start, region.memory_size));
    } else {
      if (file->kind() != object::FileKind::kGuestMemfd || &static_cast<Gmem&>(*file).vm() != this)
        return fail(Errno::kInval, "the descriptor is no guest_memfd of this VM");
      auto& gmem = static_cast<Gmem&>(*file);
      TEEIO_TRY(gmem.bind(region.guest_memfd_offset, region.memory_size));
      slot->gmem = &gmem;
      slot->gmem_offset = region.guest_memfd_offset;
      slot->gmem_only = gmem.supports_mmap();
    }
  }
  const Slot& made = *slot;
  {
    const schedule::WriteLock writer(srcu_);
    slots_.emplace(region.slot, std::move(slot));
  }
  // After the writer, as in modify_slot(): a fault that saw no memslot has booked its page.
  mmu_->memory_came(start, region.memory_size);
  if ((region.flags & kMemLogDirtyPages) != 0) update_dirty_log(made);
  return {};
}

Result<void> Vm::delete_slot(std::uint32_t id) {
  std::unique_ptr<Slot> slot;
  {
    // Faults that found the slot are over once the writer is in: SRCU's grace period.
    const schedule::WriteLock writer(srcu_);
    const auto at = slots_.find(id);
    TEEIO_CHECK(at != slots_.end(), "a memslot vanishes under slots_lock");
    slot = std::move(at->second);
    slots_.erase(at);
  }
  mmu_->zap(slot->start, slot->size, Zap::kBoth);
  if ((slot->flags & kMemLogDirtyPages) != 0) mmu_->stop_dirty_log(id);
  if (slot->gmem != nullptr) slot->gmem->unbind(slot->gmem_offset);
  return {};
}

void Vm::gmem_released(const void* gmem) {
  const schedule::Lock lock(slots_lock_);
  std::vector<const Slot*> losers;  // they stay: slots_lock
  {
    const schedule::WriteLock writer(srcu_);
    for (const auto& [id, slot] : slots_) {
      if (slot->gmem != gmem) continue;
      slot->gmem = nullptr;
      losers.push_back(slot.get());
    }
  }
  for (const Slot* slot : losers)
    mmu_->zap(slot->start, slot->size, slot->gmem_only ? Zap::kBoth : Zap::kPrivate);
}

Slot* Vm::find_slot(Gpa page) {
  for (const auto& [id, slot] : slots_)
    if (slot->contains(page)) return slot.get();
  return nullptr;
}

std::uint64_t Vm::supported_attributes() const {
  return ops_->has_private_memory() ? kAttributePrivate : 0;
}

Result<void> Vm::set_memory_attributes(Gpa start, std::uint64_t size, std::uint64_t attributes) {
  if ((attributes & ~supported_attributes()) != 0)
    return fail(Errno::kInval, "this VM has no such memory attribute");
  if (size == 0 || raw(start) + size < raw(start) || !is_page_aligned(raw(start)) ||
      !is_page_aligned(size))
    return fail(Errno::kInval, "the range of KVM_SET_MEMORY_ATTRIBUTES is wrong");
  const schedule::Lock lock(slots_lock_);
  const bool to_private = (attributes & kAttributePrivate) != 0;
  const std::uint64_t first = raw(start) >> kPageShift;
  const std::uint64_t last = first + (size >> kPageShift);
  {
    const schedule::Lock attributes_lock(attributes_lock_);
    if (!to_private)
      private_gfns_.erase(private_gfns_.lower_bound(first), private_gfns_.lower_bound(last));
    else
      for (std::uint64_t gfn = first; gfn < last; ++gfn) private_gfns_.insert(gfn);
  }
  // What is mapped the other way goes after the attributes are set, so that a fault
  // that saw the old ones is retried; Linux has mmu_invalidate_in_progress for that.
  mmu_->zap(start, size, to_private ? Zap::kShared : Zap::kPrivate);
  return {};
}

bool Vm::is_private(Gpa page) const {
  const schedule::Lock lock(attributes_lock_);
  return private_gfns_.contains(raw(page) >> kPageShift);
}

Result<object::Ref<object::File>> Vm::create_vcpu(std::uint32_t id) {
  if (id >= x86::kMaxVcpuIds) return fail(Errno::kInval, "the vCPU's number is too large");
  const schedule::Lock lock(lock_);
  if (vcpus_.size() >= x86::kMaxVcpus) return fail(Errno::kInval, "the VM has all its vCPUs");
  if (!x86_.valid_id(id)) return fail(Errno::kInval, "the vCPU's number is too large");
  if (vcpus_.contains(id)) return fail(Errno::kExist, "the vCPU exists");
  TEEIO_ASSIGN(std::unique_ptr<Vcpu> vcpu, Vcpu::create(*this, id));
  TEEIO_TRY(ops_->vcpu_created(*vcpu));
  Vcpu& made = *vcpu;
  vcpus_.emplace(id, std::move(vcpu));
  return object::Ref<object::File>::adopt(new VcpuFile(object::Ref<Vm>::share(*this), made));
}

/// kvm_vm_ioctl_create_vcpu(), kvm_put_xa_erase.
void Vm::forget_vcpu(std::uint32_t id) {
  Vcpu* vcpu = nullptr;
  {
    const schedule::Lock lock(lock_);
    vcpu = vcpus_.at(id).get();
  }
  // The number stays taken until the vendor knows this vCPU no more.
  ops_->vcpu_freed(*vcpu);
  const schedule::Lock lock(lock_);
  vcpus_.erase(id);
}

/// Their memory stays until the VM's goes.
void Vm::destroy_vcpus() {
  std::vector<Vcpu*> vcpus;
  {
    const schedule::Lock lock(lock_);
    for (const auto& [id, vcpu] : vcpus_) vcpus.push_back(vcpu.get());
  }
  for (Vcpu* vcpu : vcpus) ops_->vcpu_freed(*vcpu);
}

void Vm::flushes(Vcpu& vcpu) {
  const schedule::Lock lock(vcpu_list_lock_);
  vcpu_list_.push_back(&vcpu);
}

/// One that runs for the first time meanwhile finds the tables as they are now.
void Vm::flush_remote_tlbs(Gpa start, std::uint64_t size) {
  std::vector<Vcpu*> vcpus;
  {
    const schedule::Lock lock(vcpu_list_lock_);
    vcpus = vcpu_list_;
    ++flush_requests_;
  }
  for (Vcpu* vcpu : vcpus) vcpu->flush(start, size);
}

std::uint64_t Vm::flush_requests() {
  const schedule::Lock lock(vcpu_list_lock_);
  return flush_requests_;
}

Result<void> Vm::claim_vfio_device() {
  const schedule::Lock lock(lock_);
  if (has_vfio_device_) return fail(Errno::kBusy, "the VM has a KVM VFIO device already");
  has_vfio_device_ = true;
  return {};
}

void Vm::release_vfio_device() {
  const schedule::Lock lock(lock_);
  has_vfio_device_ = false;
}

object::Ref<object::File> Vm::active_file() {
  const schedule::Lock lock(file_lock_);
  if (file_ == nullptr || !file_->add_ref_unless_zero()) return nullptr;
  return object::Ref<object::File>::adopt(file_);
}

void Vm::set_file(VmFile* file) {
  const schedule::Lock lock(file_lock_);
  file_ = file;
}

VmFile::VmFile(object::Ref<Vm> vm, object::Ref<mm::ForeignFile> host_vm)
    : File(object::FileKind::kKvmVm), vm_(std::move(vm)), host_vm_(std::move(host_vm)) {
  vm_->set_file(this);
}

void VmFile::release() {
  auto call = vm_->trace().call(Lane::kKvm, "kvm_vm_release", {.vm = vm_->number()});
  vm_->set_file(nullptr);
  vm_->irq_fds().release();
  if (host_vm_) vm_->kvm().forget_host_vm(*this);
  vm_->trace().fact(Lane::kKvm, Fact::kVmFileReleased, "VM file released", {.vm = vm_->number()});
  vm_.reset();
  host_vm_.reset();
}

}  // namespace teeio::kvm
