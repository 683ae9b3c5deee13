#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "host/iommu/iommu.h"
#include "host/iommufd/area_tree.h"
#include "host/iommufd/iopt_pages.h"
#include "schedule/mutex.h"

namespace teeio::iommufd {

/// First and last IOVA of a range (abi: struct iommu_iova_range).
struct IovaRange {
  std::uint64_t first;
  std::uint64_t last;
  bool operator==(const IovaRange&) const = default;
};

/// Of a mapping that a type 1 container makes without access: no page table takes it.
inline constexpr iommu::Prot kNoAccess{0};

/// Who reaches what is mapped by the CPU (Linux: struct iommufd_access as its iopt sees it).
///
/// Lifetime: from add_accessor() to remove_accessor().
class Accessor {
 public:
  /// The alignment that its accesses need: 1, or a page.
  [[nodiscard]] virtual std::uint64_t alignment() const = 0;
  /// iommufd_lock_obj(): false when it is going, or lets go of nothing when asked.
  [[nodiscard]] virtual bool hold() = 0;
  /// Between hold() and put(): nothing in the range may be in use when it returns.
  virtual void unmapping(std::uint64_t first, std::uint64_t length) = 0;
  virtual void put() = 0;

 protected:
  ~Accessor() = default;
};

/// A piece of pages on its way from one IOAS into another.
struct PagesSlice {
  object::Ref<IoptPages> pages;
  std::uint64_t start_byte;
  std::uint64_t length;
};

/// The IOVA space of an IOAS: what is mapped where, copied into every domain
/// (Linux: struct io_pagetable).
/// Source: Linux drivers/iommu/iommufd/io_pagetable.c; each method names its
/// function.
///
/// Locking: domains_rwsem (rank kIopt) before iova_rwsem (kIoptIova) before
/// pages->mutex. A map or unmap holds domains_rwsem for reading while its area
/// has no pages, so that no domain comes or goes meanwhile.
class IoPagetable {
 public:
  static constexpr std::uint64_t kLastIova = ~std::uint64_t{0};
  IoPagetable() = default;
  ~IoPagetable();
  IoPagetable(const IoPagetable&) = delete;
  IoPagetable& operator=(const IoPagetable&) = delete;

  /// iopt_map_pages(): the slices one after another, at `iova` or, with nullopt,
  /// at the lowest place that fits. Gives the first IOVA. Errors: EINVAL
  /// misaligned, empty or reserved; EEXIST mapped already; EOVERFLOW past the end;
  /// ENOSPC no place; EPERM write to read-only pages; IoptPages::map()'s, nothing
  /// then being mapped.
  Result<std::uint64_t> map(std::vector<PagesSlice> slices, std::optional<std::uint64_t> iova,
                            iommu::Prot prot);
  /// The same for one slice, without the list. Precondition: nobody else has these pages yet.
  Result<std::uint64_t> map(PagesSlice slice, std::optional<std::uint64_t> iova, iommu::Prot prot);

  /// iopt_unmap_iova_range(): every area in [first, last]; gives the count of
  /// bytes. Accessors let go first. Errors: ENOENT when the range cuts an area; EBUSY when
  /// a call is busy with one, or a hardware queue lies in it. Areas before the failing one are
  /// gone.
  Result<std::uint64_t> unmap(std::uint64_t first, std::uint64_t last);
  struct Unmapped {
    std::uint64_t bytes = 0;
    Result<void> end;
  };
  /// The same, for callers that report the count whether or not it failed.
  Unmapped unmap_until_failure(std::uint64_t first, std::uint64_t last);
  /// iopt_cut_iova(): the area around each of `lasts`, if any, becomes two, of
  /// which the first ends there. Errors: EBUSY when a call is busy with the area;
  /// EOPNOTSUPP a dma-buf; EINVAL off the alignment, in use by an accessor, or with
  /// large pages, which domains may have used. Cuts before the failing one stay.
  Result<void> cut_after(std::span<const std::uint64_t> lasts);

  /// IOMMU_IOAS_CHANGE_PROCESS's look at the areas: adds what is mapped to `all`. Errors:
  /// EBUSY when a call is busy with an area; EINVAL one is no file's.
  Result<void> add_files(std::vector<object::Ref<IoptPages>>& all);

  /// iopt_get_pages(): what is mapped in the range, for another IOAS. Errors:
  /// EINVAL empty; EOVERFLOW; ENOENT a gap.
  Result<std::vector<PagesSlice>> slices(std::uint64_t iova, std::uint64_t length);

  struct Ranges {
    std::vector<IovaRange> usable;
    std::uint64_t alignment;
  };
  /// iommufd_ioas_iova_ranges(): the holes between reserved ranges.
  [[nodiscard]] Ranges usable_ranges();
  /// io_pagetable::iova_alignment.
  [[nodiscard]] std::uint64_t alignment();
  /// What every domain can map, as a bit mask: iommufd_get_pagesizes().
  [[nodiscard]] std::uint64_t page_sizes();
  /// iopt_set_allow_iova(): where allocation may place IOVAs and nothing may
  /// become reserved. Errors: EADDRINUSE a range is reserved.
  Result<void> set_allowed(std::vector<IovaRange> ranges);
  /// iopt_table_enforce_dev_resv_regions(). Errors: EADDRINUSE mapped or
  /// allowed.
  Result<void> reserve_for_device(const void* owner,
                                  const std::vector<iommu::ReservedRegion>& regions);
  /// iopt_remove_reserved_iova().
  void unreserve(const void* owner);
  /// iopt_reserve_iova() that no device asks for; until the IOAS ends. Errors: EADDRINUSE
  /// mapped or allowed.
  Result<void> reserve_for_all(IovaRange range);

  /// iopt_table_add_domain(): everything mapped, in `domain` too. Errors:
  /// EADDRINUSE an area does not fit the domain's aperture or page size; EINVAL a domain
  /// without pages of the CPU's size;
  /// IoptPages::map()'s, with nothing left in the domain.
  Result<void> add_domain(iommu::Domain& domain);
  /// iopt_table_remove_domain(): nothing of this IOAS is left in it.
  void remove_domain(iommu::Domain& domain);

  /// iopt_add_access(). Errors: EADDRINUSE something mapped is not aligned as it needs.
  Result<void> add_accessor(Accessor& accessor);
  /// iopt_remove_access(): it holds no pages.
  void remove_accessor(Accessor& accessor);

  enum class Lock : bool { kNo, kYes };
  struct Pin {
    std::uint64_t iova = 0;
    std::uint64_t length = 0;
    bool write = false;
    Lock lock = Lock::kNo;  ///< unmapping is refused meanwhile
  };
  /// iommufd_access_pin_pages(): the pages of the range. Errors, nothing being pinned:
  /// EINVAL empty, not page aligned, being unmapped, no memory of a program; EOVERFLOW;
  /// ENOENT a gap; EPERM; IoptPages::pin_pages()'s.
  Result<std::vector<IoptPages::Place>> pin(const Pin& pin);
  /// iommufd_access_unpin_pages(): the same range again.
  void unpin(const Pin& pin);
  /// iommufd_access_rw(). Errors: EINVAL empty or being unmapped; EOVERFLOW; ENOENT;
  /// EPERM; IoptPages::read()'s. What lies before the failing place was done.
  Result<void> read(std::uint64_t iova, std::span<std::byte> out);
  Result<void> write(std::uint64_t iova, ByteView in);
  /// What is mapped at `iova`; nullopt when nothing is. For who compares.
  [[nodiscard]] std::optional<IoptPages::Place> place(std::uint64_t iova);

  struct DirtyRange {
    std::uint64_t iova = 0;
    std::uint64_t length = 0;
    std::uint64_t page_size = 0;
  };
  /// iopt_set_dirty_tracking(). Errors: EOPNOTSUPP the domain has none.
  Result<void> set_dirty_tracking(iommu::Domain& domain, bool on);
  /// iopt_read_and_clear_dirty_data(): up to the first gap, of which Linux says nothing. Errors:
  /// EINVAL empty or misaligned, EOVERFLOW; EOPNOTSUPP the domain does not track.
  Result<void> read_dirty(iommu::Domain& domain, const DirtyRange& range,
                          iommu::DirtyTracking::Clear clear,
                          iommu::DirtyTracking::Visitor& visitor);

  /// iopt_disable_large_pages(). Errors: EINVAL when domains have mappings.
  Result<void> disable_large_pages();
  /// iopt_enable_large_pages().
  void enable_large_pages();
  [[nodiscard]] bool large_pages();

 private:
  struct Reserved {
    IovaRange range;
    const void* owner;
  };

  std::optional<IovaRange> unmap_idle(std::uint64_t first, std::uint64_t last, Unmapped& all);
  /// One area's part of a range.
  struct Piece {
    Area* area;
    std::uint64_t first_byte;  ///< into the area's pages
    std::uint64_t length;
  };
  /// The areas of [iova, iova + length). Errors: ENOENT a gap.
  Result<std::vector<Piece>> pieces(std::uint64_t iova, std::uint64_t length)
      TEEIO_REQUIRES_SHARED(iova_rwsem_);
  template <class Step>
  Result<void> each_piece(std::uint64_t iova, std::uint64_t length, iommu::Prot needed, Step step)
      TEEIO_EXCLUDES(iova_rwsem_);
  void undo_pins(std::span<const Piece> pieces, Lock lock) TEEIO_REQUIRES_SHARED(iova_rwsem_);
  Result<void> check_dirty_range(const DirtyRange& range) TEEIO_REQUIRES_SHARED(iova_rwsem_);
  void notify_accessors(std::uint64_t first, std::uint64_t length) TEEIO_EXCLUDES(iova_rwsem_);
  [[nodiscard]] std::uint64_t smallest_alignment() const
      TEEIO_REQUIRES_SHARED(domains_rwsem_, iova_rwsem_);

  /// `areas`: those that are null are made.
  Result<std::uint64_t> alloc_areas(std::span<PagesSlice> slices, std::span<Area*> areas,
                                    std::optional<std::uint64_t> iova, iommu::Prot prot);
  Result<void> check_iova(std::uint64_t iova, std::uint64_t length) TEEIO_REQUIRES(iova_rwsem_);
  Result<std::uint64_t> alloc_iova(std::uint64_t hint, std::uint64_t length)
      TEEIO_REQUIRES(iova_rwsem_);
  std::optional<std::uint64_t> find_hole(IovaRange within, std::uint64_t length,
                                         std::uint64_t alignment, std::uint64_t page_offset)
      TEEIO_REQUIRES(iova_rwsem_);
  void forget_full_from(std::uint64_t iova) TEEIO_REQUIRES(iova_rwsem_);
  std::optional<IovaRange> used_at_or_after(std::uint64_t iova) TEEIO_REQUIRES_SHARED(iova_rwsem_);
  Result<void> reserve(IovaRange range, const void* owner) TEEIO_REQUIRES(iova_rwsem_);
  void unreserve_locked(const void* owner) TEEIO_REQUIRES(iova_rwsem_);
  void abort_areas(std::span<Area*> areas);
  Result<void> split(Area& area, std::uint64_t last) TEEIO_REQUIRES(iova_rwsem_)
      TEEIO_REQUIRES_SHARED(domains_rwsem_);

  Result<void> fill(Area& area, IoptPages& pages, iommu::Domain& domain)
      TEEIO_REQUIRES(pages.mutex()) TEEIO_REQUIRES_SHARED(domains_rwsem_);
  void unfill(Area& area, IoptPages& pages, iommu::Domain& domain) TEEIO_REQUIRES(pages.mutex())
      TEEIO_REQUIRES_SHARED(domains_rwsem_);
  Result<void> fill_domains(Area& area, IoptPages& pages) TEEIO_REQUIRES_SHARED(domains_rwsem_);
  void unfill_domains(Area& area, IoptPages& pages) TEEIO_REQUIRES_SHARED(domains_rwsem_);
  Result<void> fill_domain(iommu::Domain& domain) TEEIO_REQUIRES(domains_rwsem_, iova_rwsem_);
  void unfill_domain(iommu::Domain& domain, const Area* end)
      TEEIO_REQUIRES(domains_rwsem_, iova_rwsem_);
  Result<void> set_alignment(std::uint64_t alignment) TEEIO_REQUIRES(domains_rwsem_, iova_rwsem_);

  schedule::RwMutex domains_rwsem_{schedule::Rank::kIopt};
  std::vector<iommu::Domain*> domains_ TEEIO_GUARDED_BY(domains_rwsem_);
  bool disable_large_pages_ TEEIO_GUARDED_BY(domains_rwsem_) = false;

  schedule::RwMutex iova_rwsem_{schedule::Rank::kIoptIova};
  AreaTree areas_ TEEIO_GUARDED_BY(iova_rwsem_);
  std::vector<IovaRange> allowed_ TEEIO_GUARDED_BY(iova_rwsem_);  ///< ascending, disjoint
  std::vector<Reserved> reserved_ TEEIO_GUARDED_BY(iova_rwsem_);
  std::vector<Accessor*> accessors_ TEEIO_GUARDED_BY(iova_rwsem_);
  /// The counts of accesses in areas, which change below the rwsem's read side.
  schedule::Mutex accesses_lock_{schedule::Rank::kLeaf};
  /// IOVAs, lengths and offsets are multiples of this: 1 without domain and accessor.
  std::uint64_t alignment_ TEEIO_GUARDED_BY(iova_rwsem_) = 1;
  /// By log2 of the alignment, from a page up to a large page: no multiple of it
  /// below this IOVA is free. Where the search for a free IOVA starts; what
  /// Linux searches from the bottom each time.
  std::array<std::uint64_t, 10> full_until_ TEEIO_GUARDED_BY(iova_rwsem_){};
};

}  // namespace teeio::iommufd
