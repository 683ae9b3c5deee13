#include "host/kvm/gmem.h"

#include "base/check.h"
#include "host/kvm/kvm.h"

namespace teeio::kvm {

Result<object::Ref<object::File>> Gmem::create(object::Ref<Vm> vm, std::uint64_t size,
                                               std::uint64_t flags) {
  if (flags != 0) return fail(Errno::kInval, "no flag of KVM_CREATE_GUEST_MEMFD is supported");
  if (static_cast<std::int64_t>(size) <= 0 || !is_page_aligned(size))
    return fail(Errno::kInval, "the size of a guest_memfd is not a positive number of pages");
  return object::Ref<object::File>(object::Ref<Gmem>::adopt(new Gmem(std::move(vm), size)));
}

Result<Hpa> Gmem::page(std::uint64_t offset) {
  if (offset >= size_) return fail(Errno::kFault, "beyond the end of the guest_memfd");
  const schedule::Lock lock(invalidate_lock_);
  const std::uint64_t index = offset >> kPageShift;
  if (const auto at = pages_.find(index); at != pages_.end()) return at->second;
  TEEIO_ASSIGN(const Hpa page, vm_->kvm().memory().alloc_page());
  pages_.emplace(index, page);
  return page;
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
  vm_->gmem_released(this);
  {
    const schedule::Lock lock(invalidate_lock_);
    for (const auto& [index, page] : pages_) vm_->kvm().memory().free_page(page);
    pages_.clear();
  }
  vm_.reset();
}

}  // namespace teeio::kvm
