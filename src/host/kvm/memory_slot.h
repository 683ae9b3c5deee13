#pragma once

#include <cstdint>
#include <memory>

#include "base/types.h"
#include "host/mm/user_memory.h"
#include "hw/physical_memory.h"

namespace teeio::kvm {

class DmaBufSlot;
class Gmem;

// Flags of KVM_SET_USER_MEMORY_REGION2; kMemVfioDmabuf is the proposed one.
inline constexpr std::uint32_t kMemLogDirtyPages = 1U << 0U;
inline constexpr std::uint32_t kMemReadonly = 1U << 1U;
inline constexpr std::uint32_t kMemGuestMemfd = 1U << 2U;
inline constexpr std::uint32_t kMemVfioDmabuf = 1U << 3U;

/// Slots a program may number (x86: SHRT_MAX less three internal ones).
inline constexpr std::uint32_t kUserMemSlots = 32764;
/// A slot's largest size: KVM_MEM_MAX_NR_PAGES.
inline constexpr std::uint64_t kMaxSlotPages = (1ULL << 31U) - 1;

/// struct kvm_userspace_memory_region2, as values.
struct MemoryRegion {
  std::uint32_t slot = 0;
  std::uint32_t flags = 0;
  std::uint64_t guest_phys_addr = 0;
  std::uint64_t memory_size = 0;
  std::uint64_t userspace_addr = 0;
  std::uint64_t guest_memfd_offset = 0;
  std::int32_t guest_memfd = -1;  ///< or the dma-buf, with kMemVfioDmabuf
};

/// Program memory on the bus: a memslot's shared side.
class UserPages final : public hw::WindowTarget {
 public:
  UserPages(hw::PhysicalMemory& memory, object::Ref<mm::Pages> pages, Hpa base)
      : memory_(memory), pages_(std::move(pages)), base_(base) {}
  ~UserPages() override;
  static Result<std::unique_ptr<UserPages>> create(hw::PhysicalMemory& memory,
                                                   object::Ref<mm::Pages> pages);
  [[nodiscard]] Hpa base() const { return base_; }
  Result<void> read(std::uint64_t offset, std::span<std::byte> out) override {
    return pages_->read(offset, out);
  }
  Result<void> write(std::uint64_t offset, ByteView in) override {
    return pages_->write(offset, in);
  }
  [[nodiscard]] std::span<std::byte> direct() override { return pages_->direct(); }

 private:
  hw::PhysicalMemory& memory_;
  const object::Ref<mm::Pages> pages_;
  Hpa base_;
};

/// One memslot (Linux: struct kvm_memory_slot).
///
/// Lifetime: from its creation until its deletion has waited for every fault
/// that may have found it.
struct Slot {
  std::uint32_t id;
  std::uint32_t flags;
  Gpa start;
  std::uint64_t size;            ///< bytes
  std::uint64_t userspace_addr;  ///< of the shared side

  /// The private side; null once the guest_memfd was closed.
  Gmem* gmem = nullptr;
  std::uint64_t gmem_offset = 0;
  /// KVM_MEMSLOT_GMEM_ONLY: the shared side is there too.
  bool gmem_only = false;
  /// The MMIO behind a KVM_MEM_VFIO_DMABUF slot; null for others.
  std::unique_ptr<DmaBufSlot> dmabuf;
  /// Made on the first fault of the shared side (mmu_lock).
  std::unique_ptr<UserPages> shared;

  Slot(const MemoryRegion& region);
  ~Slot();
  [[nodiscard]] bool contains(Gpa address) const {
    return address >= start && address - start < size;
  }
  [[nodiscard]] bool overlaps(Gpa other, std::uint64_t other_size) const {
    return raw(other) < raw(start) + size && raw(start) < raw(other) + other_size;
  }
};

}  // namespace teeio::kvm
