#include "host/kvm/gmem.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "host/kvm/kvm.h"
#include "host/mm/user_memory.h"
#include "schedule/seeded_bug.h"

namespace teeio::kvm {
namespace {

/// One that the firmware would not let go of (KVM_BUG_ON) stays its own: nobody may use it.
void give_back(hw::PhysicalMemory& memory, Hpa page) {
  if (memory.key_of(page) == hw::KeyId::kShared) memory.free_page(page);
}

}  // namespace

class Gmem::Window final : public hw::WindowTarget {
 public:
  static Result<std::unique_ptr<Window>> create(hw::PhysicalMemory& memory,
                                                std::span<std::byte> bytes) {
    auto made = std::make_unique<Window>(memory, bytes);
    TEEIO_ASSIGN(made->base_, memory.map_window(*made, bytes.size()));
    return made;
  }
  Window(hw::PhysicalMemory& memory, std::span<std::byte> bytes) : memory_(memory), bytes_(bytes) {}
  ~Window() override {
    if (raw(base_) != 0) memory_.unmap_window(base_);
  }
  [[nodiscard]] Hpa base() const { return base_; }
  Result<void> read(std::uint64_t offset, std::span<std::byte> out) override {
    std::memcpy(out.data(), bytes_.data() + offset, out.size());
    return {};
  }
  Result<void> write(std::uint64_t offset, ByteView in) override {
    std::memcpy(bytes_.data() + offset, in.data(), in.size());
    return {};
  }
  [[nodiscard]] std::span<std::byte> direct() override { return bytes_; }

 private:
  hw::PhysicalMemory& memory_;
  const std::span<std::byte> bytes_;
  Hpa base_{0};
};

std::uint64_t supported_gmem_flags(const Vm* vm) {
  const bool has_private = vm != nullptr && vm->ops().has_private_memory();
  return kGmemMmap | (has_private ? 0 : kGmemInitShared);
}

Gmem::Gmem(object::Ref<Vm> vm, std::uint64_t size, std::uint64_t flags)
    : File(object::FileKind::kGuestMemfd), vm_(std::move(vm)), size_(size), flags_(flags) {}

Gmem::~Gmem() = default;

Result<object::Ref<object::File>> Gmem::create(object::Ref<Vm> vm, std::uint64_t size,
                                               std::uint64_t flags) {
  if ((flags & ~supported_gmem_flags(vm.get())) != 0)
    return fail(Errno::kInval, "the VM has no such flag of KVM_CREATE_GUEST_MEMFD");
  if (static_cast<std::int64_t>(size) <= 0 || !is_page_aligned(size))
    return fail(Errno::kInval, "the size of a guest_memfd is not a positive number of pages");
  return object::Ref<object::File>(object::Ref<Gmem>::adopt(new Gmem(std::move(vm), size, flags)));
}

void Gmem::set_mapped_file(std::unique_ptr<mm::MappedFile> file) {
  const schedule::Lock lock(invalidate_lock_);
  mapped_ = std::move(file);
}

Result<void> Gmem::map(bool shared) {
  if (!supports_mmap()) return fail(Errno::kNoDev, "the guest_memfd was not made with MMAP");
  if (!shared) return fail(Errno::kInval, "a guest_memfd is mapped shared");
  const schedule::Lock lock(invalidate_lock_);
  return in_file() ? open_window() : Result<void>();
}

Result<void> Gmem::open_window() {
  if (window_ != nullptr) return {};
  if (mapped_ == nullptr) return fail(Errno::kNoMem, "nothing is behind the guest_memfd");
  TEEIO_ASSIGN(const std::span<std::byte> bytes, mapped_->expose(0, size_));
  TEEIO_ASSIGN(window_, Window::create(vm_->kvm().memory(), bytes));
  return {};
}

Result<Hpa> Gmem::page(std::uint64_t offset) {
  const schedule::Lock lock(invalidate_lock_);
  return page_locked(offset);
}

Result<void> Gmem::populate(std::uint64_t offset, const std::function<Result<void>(Hpa)>& take) {
  const schedule::Lock lock(invalidate_lock_);
  TEEIO_ASSIGN(const Hpa page, page_locked(offset));
  return take(page);
}

Result<Hpa> Gmem::page_locked(std::uint64_t offset) {
  if (offset >= size_) return fail(Errno::kFault, "beyond the end of the guest_memfd");
  if (in_file()) {
    TEEIO_TRY(open_window());
    return window_->base() + mm::page_base(offset);
  }
  const std::uint64_t index = offset >> kPageShift;
  if (const auto at = pages_.find(index); at != pages_.end()) return at->second;
  TEEIO_ASSIGN(const Hpa page, vm_->kvm().memory().alloc_page());
  pages_.emplace(index, page);
  return page;
}

Result<void> Gmem::fallocate(Fallocate what, std::uint64_t offset, std::uint64_t size) {
  if (!is_page_aligned(offset) || !is_page_aligned(size))
    return fail(Errno::kInval, "the range is not page aligned");
  if (what == Fallocate::kPunchHole) {
    punch_hole(offset, size);
    return {};
  }
  if (offset + size > size_) return fail(Errno::kInval, "beyond the end of the guest_memfd");
  for (std::uint64_t at = offset; at < offset + size; at += kPageSize) TEEIO_TRY(page(at));
  return {};
}

Result<Hpa> Gmem::pin(std::uint64_t offset) {
  const schedule::Lock lock(invalidate_lock_);
  TEEIO_ASSIGN(const Hpa found, page_locked(offset));
  ++pins_[found];
  return found;
}

void Gmem::unpin(Hpa page) {
  const schedule::Lock lock(invalidate_lock_);
  const auto at = pins_.find(page);
  TEEIO_CHECK(at != pins_.end(), "a page of a guest_memfd is unpinned that nobody has pinned");
  if (--at->second != 0) return;
  pins_.erase(at);
  if (punched_.erase(page) != 0) free_page(page);
}

/// kvm_gmem_free_folio().
void Gmem::free_page(Hpa page) {
  if (pins_.contains(page)) {
    punched_.insert(page);
    return;
  }
  vm_->ops().gmem_invalidate(page);
  give_back(vm_->kvm().memory(), page);
}

/// kvm_gmem_punch_hole(): the guest loses the pages before the host has them.
void Gmem::punch_hole(std::uint64_t offset, std::uint64_t size) {
  const std::uint64_t end = std::min(offset + size, size_);
  if (offset >= end) return;
  const schedule::ReadLock srcu(vm_->srcu());
  const schedule::Lock lock(invalidate_lock_);
  const bool keeps_mapped = schedule::seeded("gmem-not-invalidated");
  for (const auto& [start, length] : vm_->gmem_ranges(this, offset, end - offset))
    if (!keeps_mapped) vm_->mmu().zap(start, length, supports_mmap() ? Zap::kBoth : Zap::kPrivate);
  if (window_ != nullptr) mapped_->punch_hole(offset, end - offset);
  const auto first = pages_.lower_bound(offset >> kPageShift);
  const auto last = pages_.lower_bound(end >> kPageShift);
  for (auto at = first; at != last; ++at) free_page(at->second);
  pages_.erase(first, last);
}

Result<void> Gmem::bind(std::uint64_t offset, std::uint64_t size) {
  if (!is_page_aligned(offset) || offset + size < offset || offset + size > size_)
    return fail(Errno::kInval, "the slot reaches beyond its guest_memfd");
  const schedule::Lock lock(invalidate_lock_);
  for (const auto& [start, length] : bindings_)
    if (start < offset + size && offset < start + length)
      return fail(Errno::kExist, "another slot has this part of the guest_memfd");
  bindings_.emplace(offset, size);
  return {};
}

void Gmem::unbind(std::uint64_t offset) {
  const schedule::Lock lock(invalidate_lock_);
  bindings_.erase(offset);
}

void Gmem::release() {
  auto call = vm_->trace().call(object::Lane::kKvm, "kvm_gmem_release", {.vm = vm_->number()});
  vm_->gmem_released(this);
  std::unique_ptr<Window> window;  // goes without the lock: it waits for who is in it
  {
    const schedule::Lock lock(invalidate_lock_);
    for (const auto& [index, page] : pages_) free_page(page);
    pages_.clear();
    window = std::move(window_);
  }
  window.reset();
  vm_.reset();
}

}  // namespace teeio::kvm
