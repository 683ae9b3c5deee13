#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "host/iommufd/io_pagetable.h"
#include "host/iommufd/ioas.h"
#include "host/iommufd/object.h"

namespace teeio::mm {
class UserMemory;
}

namespace teeio::iommufd {

class Context;

/// The ioctls of VFIO's type 1 containers, which an open /dev/iommu answers too:
/// they mean the one IOAS that IOMMU_VFIO_IOAS has set, or a VFIO group that got
/// this iommufd as its container. Every call but create(), set() and clear() gives
/// ENODEV without one.
/// Source: Linux drivers/iommu/iommufd/vfio_compat.c; each method names its
/// function.
///
/// Lifetime: a view of `context`, which outlives it.
/// Locking: none of its own.
class VfioCompat {
 public:
  /// VFIO_TYPE1_IOMMU may unmap parts of mappings, VFIO_TYPE1v2_IOMMU may not.
  enum class Type : std::uint8_t { kType1, kType1v2 };
  explicit VfioCompat(Context& context) : context_(context) {}

  /// iommufd_vfio_compat_ioas_create(): a new IOAS, unless one is set. Errors: ENOSPC.
  Result<void> create();
  /// IOMMU_VFIO_IOAS_GET, _SET and _CLEAR. Errors of set(): ENOENT.
  Result<ObjectId> get();
  Result<void> set(ObjectId ioas_id);
  void clear();

  /// iommufd_vfio_cc_iommu(): whether every HWPT enforces cache coherency.
  Result<bool> enforces_coherency();
  /// iommufd_vfio_set_iommu(). Type 1 keeps large pages out of page tables, so
  /// that mappings can be cut. Errors: EINVAL when domains have mappings already;
  /// EADDRINUSE when a mapping is not page aligned.
  Result<void> set_type(Type type);

  struct Info {
    std::uint64_t page_sizes;
    std::vector<IovaRange> usable;
  };
  /// iommufd_vfio_iommu_get_info().
  Result<Info> info();

  struct Map {
    std::uint64_t user_va = 0;
    std::uint64_t iova = 0;
    std::uint64_t length = 0;
    iommu::Prot prot = kNoAccess;
  };
  /// iommufd_vfio_map_dma(), at `iova` exactly. Errors: as Context::ioas_map().
  Result<void> map(mm::UserMemory& memory, const Map& map);

  struct Unmap {
    std::uint64_t iova = 0;
    std::uint64_t length = 0;
    bool all = false;  ///< VFIO_DMA_UNMAP_FLAG_ALL
  };
  /// iommufd_vfio_unmap_dma(): nothing mapped there is success with 0 bytes.
  /// Failures with a count: EINVAL no length; EOVERFLOW; ENOENT a mapping would
  /// be cut; EBUSY. Errors, without: EINVAL `all` with a range;
  /// IoPagetable::cut_after()'s, of a type 1 container.
  Result<IoPagetable::Unmapped> unmap(const Unmap& unmap);

 private:
  Result<Using<Ioas>> ioas();

  Context& context_;
};

}  // namespace teeio::iommufd
