// What the CPU does with what is mapped, and what DMA has written: the rest of IoPagetable.
// Source: Linux drivers/iommu/iommufd/device.c, iommufd_access_*(), and io_pagetable.c.

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "host/iommufd/io_pagetable.h"
#include "schedule/fault_point.h"

namespace teeio::iommufd {
namespace {

bool allows(iommu::Prot prot, iommu::Prot needed) {
  return (std::to_underlying(prot) & std::to_underlying(needed)) != 0;
}

Result<void> check_range(std::uint64_t iova, std::uint64_t length) {
  if (length == 0) return fail(Errno::kInval, "length is zero");
  if (length - 1 > IoPagetable::kLastIova - iova)
    return fail(Errno::kOverflow, "the range passes the last IOVA");
  return {};
}

}  // namespace

Result<void> IoPagetable::add_accessor(Accessor& accessor) {
  TEEIO_TRY(schedule::allocate("a place for an access"));
  const schedule::WriteLock domains(domains_rwsem_);
  const schedule::WriteLock iovas(iova_rwsem_);
  accessors_.push_back(&accessor);
  auto aligned = set_alignment(smallest_alignment());
  if (!aligned.has_value()) accessors_.pop_back();
  return aligned;
}

void IoPagetable::remove_accessor(Accessor& accessor) {
  const schedule::WriteLock domains(domains_rwsem_);
  const schedule::WriteLock iovas(iova_rwsem_);
  TEEIO_CHECK(std::erase(accessors_, &accessor) == 1, "an accessor leaves an IOAS it is not in");
  TEEIO_CHECK(set_alignment(smallest_alignment()).has_value(), "the IOVA alignment cannot shrink");
}

/// iommufd_access_notify_unmap().
void IoPagetable::notify_accessors(std::uint64_t first, std::uint64_t length) {
  std::vector<Accessor*> held;
  {
    const schedule::ReadLock lock(iova_rwsem_);
    for (Accessor* accessor : accessors_)
      if (accessor->hold()) held.push_back(accessor);
  }
  for (Accessor* accessor : held) {
    accessor->unmapping(first, length);
    accessor->put();
  }
}

Result<std::vector<IoPagetable::Piece>> IoPagetable::pieces(std::uint64_t iova,
                                                            std::uint64_t length) {
  const std::uint64_t last = iova + (length - 1);
  std::vector<Piece> found;
  Area* area = areas_.first_in(iova, iova);
  while (area != nullptr && area->pages && area->first <= iova) {
    const std::uint64_t until = std::min(last, area->last);
    found.push_back({area, area->start_byte + (iova - area->first), until - iova + 1});
    if (until == last) return found;
    iova = until + 1;
    area = areas_.next(*area);
  }
  return fail(Errno::kNoEnt, "the range has a hole");
}

void IoPagetable::undo_pins(std::span<const Piece> pieces, Lock lock) {
  for (const Piece& piece : pieces) {
    IoptPages& pages = *piece.area->pages;
    const schedule::Lock held(pages.mutex());
    pages.unpin_pages(piece.first_byte, piece.length);
    const schedule::Lock counts(accesses_lock_);
    --piece.area->accesses;
    if (lock == Lock::kYes) --piece.area->locks;
  }
}

Result<std::vector<IoptPages::Place>> IoPagetable::pin(const Pin& pin) {
  TEEIO_TRY(check_range(pin.iova, pin.length));
  const schedule::ReadLock lock(iova_rwsem_);
  TEEIO_ASSIGN(const std::vector<Piece> all, pieces(pin.iova, pin.length));
  std::vector<IoptPages::Place> places;
  const auto pin_one = [&](std::size_t i) -> Result<void> {
    const Piece& piece = all[i];
    const bool ends_inside =
        i + 1 != all.size() && (piece.first_byte + piece.length) % kPageSize != 0;
    if (piece.area->prevent_access || piece.first_byte % kPageSize != 0 || ends_inside)
      return fail(Errno::kInval, "the range is not page aligned in memory, or being unmapped");
    if (!allows(piece.area->prot, pin.write ? iommu::Prot::kWrite : iommu::Prot::kRead))
      return fail(Errno::kPerm, "the mapping does not allow the access");
    IoptPages& pages = *piece.area->pages;
    if (pin.write && !pages.writable())
      return fail(Errno::kPerm, "the pages were mapped for reading");
    const schedule::Lock held(pages.mutex());
    TEEIO_TRY(schedule::allocate("a range that an access pins"));
    TEEIO_TRY(pages.pin_pages(piece.first_byte, piece.length));
    for (std::uint64_t at = 0; at < piece.length; at += kPageSize)
      places.push_back(*pages.place(piece.first_byte + at));
    const schedule::Lock counts(accesses_lock_);
    ++piece.area->accesses;
    if (pin.lock == Lock::kYes) ++piece.area->locks;
    return {};
  };
  for (std::size_t i = 0; i < all.size(); ++i) {
    auto pinned = pin_one(i);
    if (pinned.has_value()) continue;
    undo_pins(std::span(all).first(i), pin.lock);
    return std::unexpected(pinned.error());
  }
  return places;
}

void IoPagetable::unpin(const Pin& pin) {
  const schedule::ReadLock lock(iova_rwsem_);
  const auto all = pieces(pin.iova, pin.length);
  TEEIO_CHECK(all.has_value(), "pages are unpinned that are not mapped");
  undo_pins(*all, pin.lock);
}

template <class Step>
Result<void> IoPagetable::each_piece(std::uint64_t iova, std::uint64_t length, iommu::Prot needed,
                                     Step step) {
  TEEIO_TRY(check_range(iova, length));
  const schedule::ReadLock lock(iova_rwsem_);
  std::uint64_t done = 0;
  while (done < length) {
    Area* const area = areas_.first_in(iova + done, iova + done);
    if (area == nullptr || !area->pages) return fail(Errno::kNoEnt, "the range has a hole");
    if (area->prevent_access) return fail(Errno::kInval, "the range is being unmapped");
    if (!allows(area->prot, needed))
      return fail(Errno::kPerm, "the mapping does not allow the access");
    const std::uint64_t from = iova + done;
    const std::uint64_t size = std::min(length - done, area->last - from + 1);
    IoptPages& pages = *area->pages;
    const schedule::Lock held(pages.mutex());
    TEEIO_TRY(schedule::allocate("a list of pages"));
    TEEIO_TRY(step(pages, area->start_byte + (from - area->first), done, size));
    done += size;
  }
  return {};
}

Result<void> IoPagetable::read(std::uint64_t iova, std::span<std::byte> out) {
  return each_piece(
      iova, out.size(), iommu::Prot::kRead,
      [&](IoptPages& pages, std::uint64_t byte, std::uint64_t done, std::uint64_t size)
          TEEIO_NO_THREAD_SAFETY_ANALYSIS { return pages.read(byte, out.subspan(done, size)); });
}

Result<void> IoPagetable::write(std::uint64_t iova, ByteView in) {
  return each_piece(
      iova, in.size(), iommu::Prot::kWrite,
      [&](IoptPages& pages, std::uint64_t byte, std::uint64_t done, std::uint64_t size)
          TEEIO_NO_THREAD_SAFETY_ANALYSIS { return pages.write(byte, in.subspan(done, size)); });
}

std::optional<IoptPages::Place> IoPagetable::place(std::uint64_t iova) {
  const schedule::ReadLock lock(iova_rwsem_);
  Area* const area = areas_.first_in(iova, iova);
  if (area == nullptr || !area->pages) return std::nullopt;
  IoptPages& pages = *area->pages;
  const schedule::Lock held(pages.mutex());
  const auto place = pages.place(area->start_byte + (iova - area->first));
  return place ? std::optional(*place) : std::nullopt;
}

// iommufd_check_iova_range()
Result<void> IoPagetable::check_dirty_range(const DirtyRange& range) {
  TEEIO_TRY(check_range(range.iova, range.length));
  const auto misaligned = [&](std::uint64_t size) {
    return ((range.iova | (range.iova + range.length)) & (size - 1)) != 0;
  };
  if (misaligned(alignment_))
    return fail(Errno::kInval, "the range is not aligned as the IOMMU needs it");
  if (range.page_size == 0 || misaligned(range.page_size))
    return fail(Errno::kInval, "the range is no multiple of its page size");
  return {};
}

Result<void> IoPagetable::set_dirty_tracking(iommu::Domain& domain, bool on) {
  iommu::DirtyTracking* const tracking = domain.dirty_tracking();
  if (tracking == nullptr)
    return fail(Errno::kOpNotSupp, "the HWPT was not made to track dirty pages");
  struct Ignore final : iommu::DirtyTracking::Visitor {
    void dirty(std::uint64_t, std::uint64_t) override {}
  } ignore;
  const schedule::ReadLock lock(iova_rwsem_);
  // What was written before does not count: iopt_clear_dirty_data().
  if (on)
    for (const Area* area = areas_.first_in(0, kLastIova); area != nullptr;
         area = areas_.next(*area))
      if (area->pages)
        tracking->read_dirty(area->first, area->length(), iommu::DirtyTracking::Clear::kYes,
                             ignore);
  return tracking->set_dirty_tracking(on);
}

// iommu_read_and_clear_dirty() drops what iova_bitmap_for_each() gives, so that a gap
// (__iommu_read_and_clear_dirty()) ends the walk and is no error.
Result<void> IoPagetable::read_dirty(iommu::Domain& domain, const DirtyRange& range,
                                     iommu::DirtyTracking::Clear clear,
                                     iommu::DirtyTracking::Visitor& visitor) {
  const schedule::ReadLock lock(iova_rwsem_);
  TEEIO_TRY(check_dirty_range(range));
  iommu::DirtyTracking* const tracking = domain.dirty_tracking();
  if (tracking == nullptr)
    return fail(Errno::kOpNotSupp, "the HWPT was not made to track dirty pages");
  const std::uint64_t last = range.iova + (range.length - 1);
  for (std::uint64_t iova = range.iova;;) {
    const Area* const area = areas_.first_in(iova, iova);
    if (area == nullptr || !area->pages) return {};
    const std::uint64_t end = std::min(last, area->last);
    tracking->read_dirty(iova, end - iova + 1, clear, visitor);
    if (end == last) return {};
    iova = end + 1;
  }
}

}  // namespace teeio::iommufd
