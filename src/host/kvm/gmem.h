#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>

#include "base/result.h"
#include "base/types.h"
#include "host/kvm/vm.h"
#include "host/mm/mapped_file.h"
#include "object/file.h"
#include "schedule/mutex.h"

namespace teeio::kvm {

/// Flags of KVM_CREATE_GUEST_MEMFD.
inline constexpr std::uint64_t kGmemMmap = 1U << 0U;
inline constexpr std::uint64_t kGmemInitShared = 1U << 1U;

/// kvm_gmem_get_supported_flags(): shared from the start is what a VM without private memory
/// may have.
[[nodiscard]] std::uint64_t supported_gmem_flags(const Vm* vm);

/// A guest_memfd: memory that only its VM reaches, unless it was made to be mapped and shared
/// (kGmemMmap and kGmemInitShared): then its bytes are those of its MappedFile. Source: Linux
/// virt/kvm/guest_memfd.c.
///
/// Lifetime: an open file; pins its Vm (not the other way round). Its release
/// takes it out of every memslot, zaps what was mapped, and frees the pages.
class Gmem final : public object::File {
 public:
  /// Errors: EINVAL unless `size` is positive and page aligned and the VM may have the flags.
  static Result<object::Ref<object::File>> create(object::Ref<Vm> vm, std::uint64_t size,
                                                  std::uint64_t flags);

  [[nodiscard]] std::uint64_t size() const { return size_; }
  [[nodiscard]] Vm& vm() { return *vm_; }
  /// Whether it was made with kGmemMmap: then all of its slots' memory is here, and nothing of it
  /// at the program's own address (KVM_MEMSLOT_GMEM_ONLY).
  [[nodiscard]] bool supports_mmap() const { return (flags_ & kGmemMmap) != 0; }
  /// What the program maps, before it can.
  void set_mapped_file(std::unique_ptr<mm::MappedFile> file) TEEIO_EXCLUDES(invalidate_lock_);
  /// mmap(2): of pages that are not shared every touch is a SIGBUS. Errors: ENODEV, EINVAL as
  /// kvm_gmem_mmap(); ENOMEM.
  Result<void> map(bool shared) TEEIO_EXCLUDES(invalidate_lock_);
  /// kvm_gmem_get_pfn(): the frame at `offset`, allocated on first use.
  /// Errors: ENOMEM; EFAULT beyond the end.
  Result<Hpa> page(std::uint64_t offset) TEEIO_EXCLUDES(invalidate_lock_);

  /// page() and `take` of it in one turn under filemap_invalidate_lock: no hole is punched in
  /// between (__kvm_gmem_populate()). Locks: `take` may take mmu_lock and what is below it.
  /// Errors: page()'s; `take`'s.
  Result<void> populate(std::uint64_t offset, const std::function<Result<void>(Hpa)>& take)
      TEEIO_EXCLUDES(invalidate_lock_);

  /// page(), and the frame stays until unpin(), whatever becomes of it in the file: a folio's
  /// reference. Its end as the guest's (kvm_gmem_free_folio()) waits for the last of them.
  Result<Hpa> pin(std::uint64_t offset) TEEIO_EXCLUDES(invalidate_lock_);
  void unpin(Hpa page) TEEIO_EXCLUDES(invalidate_lock_);

  /// fallocate(2). Without `punch` the pages come at once, with it they go: out of
  /// every slot's mapping, then back to the host. Errors: EINVAL unaligned, or
  /// pages beyond the end; ENOMEM.
  enum class Fallocate : std::uint8_t { kAllocate, kPunchHole };
  Result<void> fallocate(Fallocate what, std::uint64_t offset, std::uint64_t size)
      TEEIO_EXCLUDES(invalidate_lock_);

  /// Books and unbooks the part of the file that a slot uses. Errors: EEXIST
  /// when another slot has it (kvm_gmem_bind()).
  Result<void> bind(std::uint64_t offset, std::uint64_t size) TEEIO_EXCLUDES(invalidate_lock_);
  void unbind(std::uint64_t offset) TEEIO_EXCLUDES(invalidate_lock_);

 private:
  Gmem(object::Ref<Vm> vm, std::uint64_t size, std::uint64_t flags);
  ~Gmem() override;
  /// The bytes that the program maps, on the bus.
  class Window;
  [[nodiscard]] bool in_file() const { return (flags_ & kGmemInitShared) != 0 && supports_mmap(); }
  Result<void> open_window() TEEIO_REQUIRES(invalidate_lock_);
  void release() override;
  Result<Hpa> page_locked(std::uint64_t offset) TEEIO_REQUIRES(invalidate_lock_);
  void free_page(Hpa page) TEEIO_REQUIRES(invalidate_lock_);
  void punch_hole(std::uint64_t offset, std::uint64_t size) TEEIO_EXCLUDES(invalidate_lock_);

  object::Ref<Vm> vm_;
  const std::uint64_t size_;
  const std::uint64_t flags_;
  schedule::Mutex invalidate_lock_{schedule::Rank::kGmemInvalidate};
  std::unique_ptr<mm::MappedFile> mapped_ TEEIO_GUARDED_BY(invalidate_lock_);
  std::unique_ptr<Window> window_ TEEIO_GUARDED_BY(invalidate_lock_);  ///< of in_file()
  std::map<std::uint64_t, Hpa> pages_ TEEIO_GUARDED_BY(invalidate_lock_);
  std::map<Hpa, std::uint32_t> pins_ TEEIO_GUARDED_BY(invalidate_lock_);
  std::set<Hpa> punched_ TEEIO_GUARDED_BY(invalidate_lock_);  ///< out of the file, and pinned
  std::map<std::uint64_t, std::uint64_t> bindings_ TEEIO_GUARDED_BY(invalidate_lock_);
};

}  // namespace teeio::kvm
