#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "base/result.h"
#include "host/iommu/iommu.h"
#include "host/iommufd/io_pagetable.h"
#include "host/iommufd/iopt_pages.h"
#include "host/mm/user_memory.h"
#include "hw/physical_memory.h"
#include "object/ref.h"
#include "schedule/mutex.h"

namespace teeio::vfio {

/// What VFIO_SET_IOMMU gives a container: one IOVA space for all its groups (Linux:
/// struct vfio_iommu). Source: Linux drivers/vfio/vfio_iommu_type1.c; each method names its
/// function. Plain values in; entry/ copies.
///
/// Lifetime: its container's, from VFIO_SET_IOMMU until the last group has left.
/// Locking: vfio_iommu->lock over everything.
class Type1 {
 public:
  /// kV1 unmaps whole mappings whose first IOVA a range covers and lets the others be, kV2
  /// refuses a range that cuts one.
  enum class Version : std::uint8_t { kV1, kV2 };
  Type1(hw::PhysicalMemory& memory, Version version) : memory_(memory), version_(version) {}
  /// vfio_iommu_type1_release(). Precondition: no group is attached.
  ~Type1();
  Type1(const Type1&) = delete;
  Type1& operator=(const Type1&) = delete;

  [[nodiscard]] Version version() const { return version_; }

  // --- type1_groups.cc ---

  /// vfio_iommu_type1_attach_group(): the group's functions see the mappings there are.
  /// Precondition: the group's DMA is the container's. Errors: EBUSY an address was taken
  /// back (kVaddr) and not given anew; EINVAL the IOMMU cannot reach a mapping, or one lies
  /// in the group's reserved ranges; Domain::map()'s.
  Result<void> attach(std::uint32_t group, iommu::Iommu& iommu) TEEIO_EXCLUDES(lock_);
  /// vfio_iommu_type1_detach_group(): blocked. The last one takes every mapping along.
  void detach(std::uint32_t group, iommu::Iommu& iommu) TEEIO_EXCLUDES(lock_);
  /// vfio_domains_have_enforce_cache_coherency().
  [[nodiscard]] bool enforces_coherency() TEEIO_EXCLUDES(lock_);

  struct Info {
    std::uint64_t page_sizes;
    std::uint32_t mappings_left;
    std::vector<iommufd::IovaRange> usable;
  };
  /// vfio_iommu_type1_get_info().
  [[nodiscard]] Info info() TEEIO_EXCLUDES(lock_);

  // --- type1.cc ---

  struct Map {
    std::uint64_t user_va = 0;
    std::uint64_t iova = 0;
    std::uint64_t length = 0;
    bool read = false, write = false;
    bool new_address = false;  ///< VFIO_DMA_MAP_FLAG_VADDR
  };
  /// vfio_dma_do_map(). Errors: EINVAL no access or both kinds of call in one, no length,
  /// misaligned, outside of the usable ranges; EOVERFLOW; EEXIST; ENOSPC no mapping is left;
  /// EFAULT memory that is not there. Of kVaddr: ENOENT; EINVAL the address was not taken
  /// back, or another range than the mapping's.
  Result<void> map(mm::UserMemory& memory, const Map& map) TEEIO_EXCLUDES(lock_);

  struct Unmap {
    std::uint64_t iova = 0;
    std::uint64_t length = 0;
    bool all = false;          ///< VFIO_DMA_UNMAP_FLAG_ALL
    bool take_vaddr = false;   ///< VFIO_DMA_UNMAP_FLAG_VADDR: the mapping stays, its address goes
    std::uint64_t bitmap = 0;  ///< address of the dirty bitmap, if `page_size` is not 0
    std::uint64_t page_size = 0;  ///< of VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP
  };
  /// vfio_dma_do_unmap(). Gives the bytes. Errors: EINVAL misaligned, no length, `all` with a
  /// range, a mapping would be cut (kV2), an address was taken back already, no dirty
  /// tracking; EOVERFLOW; EFAULT the bitmap, when mappings before may be gone.
  Result<std::uint64_t> unmap(mm::UserMemory& memory, const Unmap& unmap) TEEIO_EXCLUDES(lock_);

  // --- type1_dirty.cc ---

  /// VFIO_IOMMU_DIRTY_PAGES. Errors of start: EINVAL a mapping is beyond what a bitmap can
  /// have. As on Linux, no IOMMU is asked: what is mapped for a device counts as dirty.
  Result<void> start_dirty_tracking() TEEIO_EXCLUDES(lock_);
  void stop_dirty_tracking() TEEIO_EXCLUDES(lock_);
  struct DirtyRange {
    std::uint64_t iova = 0;
    std::uint64_t last = 0;
    std::uint64_t bitmap = 0;
    std::uint64_t page_size = 0;
  };
  /// Errors: EINVAL not the IOMMU's smallest page, misaligned, no tracking, a mapping would
  /// be cut; EFAULT.
  Result<void> dirty_bitmap(mm::UserMemory& memory, const DirtyRange& range) TEEIO_EXCLUDES(lock_);

  /// DIRTY_BITMAP_PAGES_MAX and _SIZE_MAX.
  static constexpr std::uint64_t kMaxBitmapPages = 0x7fff'ffff;
  static constexpr std::uint64_t kMaxBitmapBytes = std::uint64_t{1} << 28U;

 private:
  /// dma_entry_limit.
  static constexpr std::uint32_t kMappings = 65535;
  static constexpr std::uint64_t kLastIova = ~std::uint64_t{0};

  struct Dma {
    std::uint64_t length;
    iommu::Prot prot;
    object::Ref<iommufd::IoptPages> pages;
    bool vaddr_invalid = false;
    /// A bit a page, and a word more, while dirty pages are tracked.
    std::vector<std::uint64_t> bitmap = {};
  };
  using Dmas = std::map<std::uint64_t, Dma>;  ///< by first IOVA
  struct PagingDomain {
    iommu::Iommu* iommu;
    std::unique_ptr<iommu::Domain> domain;
    std::vector<std::uint32_t> groups;
  };

  /// The first mapping with an IOVA in [first, last], or the end.
  Dmas::iterator first_in(std::uint64_t first, std::uint64_t last) TEEIO_REQUIRES(lock_);
  [[nodiscard]] bool cuts(std::uint64_t first, std::uint64_t last) TEEIO_REQUIRES(lock_);
  [[nodiscard]] std::uint64_t page_size() const TEEIO_REQUIRES(lock_);
  void update_page_sizes() TEEIO_REQUIRES(lock_);
  Result<void> check_range(const Unmap& unmap, std::uint64_t& last) TEEIO_REQUIRES(lock_);
  Result<void> new_address(const Map& map) TEEIO_REQUIRES(lock_);
  Result<std::uint64_t> take_addresses(std::uint64_t first, std::uint64_t last)
      TEEIO_REQUIRES(lock_);
  Result<void> fill(std::uint64_t iova, Dma& dma, iommu::Domain& domain) TEEIO_REQUIRES(lock_);
  void unfill(std::uint64_t iova, Dma& dma, iommu::Domain& domain) TEEIO_REQUIRES(lock_);
  Dmas::iterator remove(Dmas::iterator dma) TEEIO_REQUIRES(lock_);
  [[nodiscard]] PagingDomain* domain_of(const iommu::Iommu& iommu) TEEIO_REQUIRES(lock_);
  Result<void> replay(iommu::Domain& domain) TEEIO_REQUIRES(lock_);
  [[nodiscard]] std::vector<iommufd::IovaRange> usable() const TEEIO_REQUIRES(lock_);
  void make_bitmap(Dma& dma) const TEEIO_REQUIRES(lock_);
  Result<void> write_bitmap(mm::UserMemory& memory, Dma& dma, std::uint64_t bitmap,
                            std::uint64_t first_bit) TEEIO_REQUIRES(lock_);

  hw::PhysicalMemory& memory_;
  const Version version_;
  schedule::Mutex lock_{schedule::Rank::kVfioType1};
  Dmas dmas_ TEEIO_GUARDED_BY(lock_);
  std::vector<PagingDomain> domains_ TEEIO_GUARDED_BY(lock_);
  std::uint64_t page_sizes_ TEEIO_GUARDED_BY(lock_) = ~(kPageSize - 1);
  std::uint32_t mappings_left_ TEEIO_GUARDED_BY(lock_) = kMappings;
  std::uint32_t vaddr_invalid_ TEEIO_GUARDED_BY(lock_) = 0;
  bool dirty_tracking_ TEEIO_GUARDED_BY(lock_) = false;
};

}  // namespace teeio::vfio
