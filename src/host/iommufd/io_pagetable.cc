#include "host/iommufd/io_pagetable.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "schedule/fault_point.h"

namespace teeio::iommufd {
namespace {

/// Whether `first` + `length` - 1 passes the end of the IOVA space.
bool overflows(std::uint64_t first, std::uint64_t length) {
  return length - 1 > IoPagetable::kLastIova - first;
}

std::uint64_t smallest_page(const iommu::Domain& domain) {
  return domain.page_sizes() & (~domain.page_sizes() + 1);
}

constexpr bool writes(iommu::Prot prot) {
  return (std::to_underlying(prot) & std::to_underlying(iommu::Prot::kWrite)) != 0;
}

}  // namespace

IoPagetable::~IoPagetable() {
  const schedule::WriteLock domains(domains_rwsem_);
  const schedule::WriteLock iovas(iova_rwsem_);
  unreserve_locked(nullptr);
  TEEIO_CHECK(accessors_.empty() && domains_.empty() && areas_.empty() && reserved_.empty(),
              "an IOAS ends with domains, mappings or reserved ranges");
}

Result<std::uint64_t> IoPagetable::map(PagesSlice slice, std::optional<std::uint64_t> iova,
                                       iommu::Prot prot) {
  Area* area = &slice.pages->own_area;
  TEEIO_ASSIGN(const std::uint64_t first, alloc_areas({&slice, 1}, {&area, 1}, iova, prot));
  const schedule::ReadLock domains(domains_rwsem_);
  if (auto filled = fill_domains(*area, *slice.pages); !filled.has_value()) {
    abort_areas({&area, 1});
    return std::unexpected(filled.error());
  }
  const schedule::WriteLock iovas(iova_rwsem_);
  area->pages = std::move(slice.pages);
  return first;
}

Result<std::uint64_t> IoPagetable::map(std::vector<PagesSlice> slices,
                                       std::optional<std::uint64_t> iova, iommu::Prot prot) {
  std::vector<Area*> areas(slices.size());
  TEEIO_ASSIGN(const std::uint64_t first, alloc_areas(slices, areas, iova, prot));
  const schedule::ReadLock domains(domains_rwsem_);
  for (std::size_t i = 0; i < slices.size(); ++i) {
    auto filled = fill_domains(*areas[i], *slices[i].pages);
    if (filled.has_value()) continue;
    for (std::size_t undo = 0; undo < i; ++undo) unfill_domains(*areas[undo], *slices[undo].pages);
    abort_areas(areas);
    return std::unexpected(filled.error());
  }
  const schedule::WriteLock iovas(iova_rwsem_);
  for (std::size_t i = 0; i < slices.size(); ++i) areas[i]->pages = std::move(slices[i].pages);
  return first;
}

Result<std::uint64_t> IoPagetable::alloc_areas(std::span<PagesSlice> slices, std::span<Area*> areas,
                                               std::optional<std::uint64_t> iova,
                                               iommu::Prot prot) {
  std::uint64_t length = 0;
  for (const PagesSlice& slice : slices) {
    TEEIO_TRY(schedule::allocate("an area"));
    length += slice.length;
  }
  const schedule::WriteLock lock(iova_rwsem_);
  if (length == 0 || length % alignment_ != 0)
    return fail(Errno::kInval, "length is zero or no multiple of the IOVA alignment");
  const PagesSlice& front = slices.front();
  if (iova.has_value()) {
    TEEIO_TRY(check_iova(*iova, length));
  } else {
    TEEIO_ASSIGN(iova, alloc_iova(front.pages->address_hint() + front.start_byte, length));
  }
  // All checks of iopt_insert_area() first: then no insertion can fail.
  for (const PagesSlice& slice : slices) {
    if (writes(prot) && !slice.pages->writable())
      return fail(Errno::kPerm, "pages that were mapped for reading cannot become writable");
    if (slice.start_byte % kPageSize % alignment_ != 0)
      return fail(Errno::kInval, "the memory is not aligned as the IOMMU needs it");
  }
  std::uint64_t first = *iova;
  for (std::size_t i = 0; i < slices.size(); ++i) {
    Area*& area = areas[i];
    const bool in_pages = area != nullptr;
    if (!in_pages) area = new Area;
    *area = {.first = first,
             .last = first + (slices[i].length - 1),
             .start_byte = slices[i].start_byte,
             .prot = prot,
             .in_pages = in_pages};
    first = area->last + 1;
    areas_.insert(AreaPtr(area));
  }
  return *iova;
}

void IoPagetable::abort_areas(std::span<Area*> areas) {
  const schedule::WriteLock lock(iova_rwsem_);
  for (Area* area : areas) {
    forget_full_from(area->first);
    areas_.take(*area);
  }
}

Result<std::uint64_t> IoPagetable::unmap(std::uint64_t first, std::uint64_t last) {
  const Unmapped unmapped = unmap_until_failure(first, last);
  TEEIO_TRY(unmapped.end);
  return unmapped.bytes;
}

IoPagetable::Unmapped IoPagetable::unmap_until_failure(std::uint64_t first, std::uint64_t last) {
  constexpr int kTries = 100;
  Unmapped all;
  for (int tries = 0;; ++tries) {
    const auto in_use = unmap_idle(first, last, all);
    if (!in_use) return all;
    if (in_use->first != first) tries = 0;
    TEEIO_CHECK(tries < kTries, "an accessor does not let go of what is unmapped");
    first = in_use->first;
    notify_accessors(in_use->first, in_use->last - in_use->first + 1);
  }
}

/// Ends, with its range, before an area whose pages the CPU uses.
std::optional<IovaRange> IoPagetable::unmap_idle(std::uint64_t first, std::uint64_t last,
                                                 Unmapped& all) {
  // Last references to a file go after the lock, as fput()'s work does.
  object::Ref<IoptPages> last_gone;
  std::vector<object::Ref<IoptPages>> gone;
  // Held over the whole walk: no domain comes or goes while an area is torn down.
  const schedule::ReadLock domains(domains_rwsem_);
  const auto failed = [&all](std::unexpected<Error> why) -> std::optional<IovaRange> {
    all.end = std::move(why);
    return std::nullopt;
  };
  while (true) {
    Area* area = nullptr;
    object::Ref<IoptPages> pages;
    {
      const schedule::WriteLock lock(iova_rwsem_);
      area = areas_.seek(first, last);
      if (area == nullptr) return std::nullopt;
      if (!area->pages)
        return failed(fail(Errno::kBusy, "another call is mapping or unmapping the range"));
      if (area->locks != 0) return failed(fail(Errno::kBusy, "a hardware queue uses the range"));
      if (area->first < first || area->last > last)
        return failed(fail(Errno::kNoEnt, "the range cuts a mapping"));
      if (area->accesses != 0) {
        area->prevent_access = true;
        return IovaRange{area->first, area->last};
      }
      pages = std::move(area->pages);
      area->pages = nullptr;
    }
    const std::uint64_t area_last = area->last;
    all.bytes += area->length();
    unfill_domains(*area, *pages);
    abort_areas({&area, 1});
    if (last_gone) gone.push_back(std::move(last_gone));
    last_gone = std::move(pages);
    if (area_last >= last) return std::nullopt;
    first = area_last + 1;
  }
}

Result<void> IoPagetable::cut_after(std::span<const std::uint64_t> lasts) {
  const schedule::ReadLock domains(domains_rwsem_);
  const schedule::WriteLock lock(iova_rwsem_);
  for (const std::uint64_t last : lasts)
    if (Area* area = areas_.first_in(last, last); area != nullptr) TEEIO_TRY(split(*area, last));
  return {};
}

// iopt_area_split(). Domains keep what they have: with small pages only, each
// half can be taken out of them by itself.
Result<void> IoPagetable::split(Area& area, std::uint64_t last) {
  // Linux lets a cut behind the first IOVA be, too.
  if (last == area.first || last == area.last) return {};
  if (!area.pages || area.prevent_access)
    return fail(Errno::kBusy, "another call is mapping or unmapping the range");
  if (area.accesses != 0) return fail(Errno::kInval, "a mapping that the CPU uses cannot be cut");
  if (area.pages->source() == IoptPages::Source::kDmabuf)
    return fail(Errno::kOpNotSupp, "a mapping of a dma-buf cannot be cut");
  TEEIO_TRY(schedule::allocate("an area"));
  const std::uint64_t cut = last + 1;
  const std::uint64_t cut_byte = area.start_byte + (cut - area.first);
  if ((cut | cut_byte) % alignment_ != 0)
    return fail(Errno::kInval, "the cut is not aligned as the IOMMU needs it");
  if (!domains_.empty() && !disable_large_pages_)
    return fail(Errno::kInval, "a mapping that may have large pages cannot be cut");
  AreaPtr low = areas_.take(area);
  AreaPtr high(new Area{.first = cut,
                        .last = low->last,
                        .start_byte = cut_byte,
                        .pages = low->pages,
                        .prot = low->prot});
  low->last = last;
  areas_.insert(std::move(low));
  areas_.insert(std::move(high));
  return {};
}

Result<void> IoPagetable::add_files(std::vector<object::Ref<IoptPages>>& all) {
  const schedule::ReadLock lock(iova_rwsem_);
  for (const Area* area = areas_.first_in(0, kLastIova); area != nullptr;
       area = areas_.next(*area)) {
    if (!area->pages) return fail(Errno::kBusy, "another call is mapping or unmapping");
    if (area->pages->source() != IoptPages::Source::kFile)
      return fail(Errno::kInval, "something is mapped that is no memfd");
    all.push_back(area->pages);
  }
  return {};
}

Result<std::vector<PagesSlice>> IoPagetable::slices(std::uint64_t iova, std::uint64_t length) {
  if (length == 0) return fail(Errno::kInval, "length is zero");
  if (overflows(iova, length)) return fail(Errno::kOverflow, "the range passes the last IOVA");
  const std::uint64_t last = iova + (length - 1);
  std::vector<PagesSlice> found;
  const schedule::ReadLock lock(iova_rwsem_);
  Area* area = areas_.first_in(iova, iova);
  while (area != nullptr && area->pages && area->first <= iova) {
    const std::uint64_t until = std::min(last, area->last);
    found.push_back({area->pages, area->start_byte + (iova - area->first), until - iova + 1});
    if (until == last) return found;
    iova = until + 1;
    area = areas_.next(*area);
  }
  return fail(Errno::kNoEnt, "the range has a hole");
}

Result<void> IoPagetable::fill(Area& area, IoptPages& pages, iommu::Domain& domain) {
  if (!disable_large_pages_)
    return pages.map(domain, Iova{area.first}, area.start_byte, area.length(), area.prot);
  for (std::uint64_t done = 0; done < area.length(); done += kPageSize) {
    auto mapped =
        pages.map(domain, Iova{area.first + done}, area.start_byte + done, kPageSize, area.prot);
    if (mapped.has_value()) continue;
    for (std::uint64_t undo = 0; undo < done; undo += kPageSize)
      pages.unmap(domain, Iova{area.first + undo}, area.start_byte + undo, kPageSize);
    return mapped;
  }
  return {};
}

void IoPagetable::unfill(Area& area, IoptPages& pages, iommu::Domain& domain) {
  if (!disable_large_pages_)
    return pages.unmap(domain, Iova{area.first}, area.start_byte, area.length());
  for (std::uint64_t done = 0; done < area.length(); done += kPageSize)
    pages.unmap(domain, Iova{area.first + done}, area.start_byte + done, kPageSize);
}

Result<void> IoPagetable::fill_domains(Area& area, IoptPages& pages) {
  if (domains_.empty()) return {};
  const schedule::Lock lock(pages.mutex());
  for (std::size_t i = 0; i < domains_.size(); ++i) {
    auto filled = fill(area, pages, *domains_[i]);
    if (filled.has_value()) continue;
    for (std::size_t undo = 0; undo < i; ++undo) unfill(area, pages, *domains_[undo]);
    return filled;
  }
  return {};
}

void IoPagetable::unfill_domains(Area& area, IoptPages& pages) {
  if (domains_.empty()) return;
  const schedule::Lock lock(pages.mutex());
  for (iommu::Domain* domain : domains_) unfill(area, pages, *domain);
}

Result<void> IoPagetable::fill_domain(iommu::Domain& domain) {
  for (Area* area = areas_.first_in(0, kLastIova); area != nullptr; area = areas_.next(*area)) {
    if (!area->pages) continue;
    Result<void> filled;
    {
      IoptPages& pages = *area->pages;
      const schedule::Lock lock(pages.mutex());
      filled = pages.check_source();
      if (filled.has_value()) filled = fill(*area, pages, domain);
    }
    if (filled.has_value()) continue;
    unfill_domain(domain, area);  // takes the lock of each one's pages
    return filled;
  }
  return {};
}

void IoPagetable::unfill_domain(iommu::Domain& domain, const Area* end) {
  for (Area* area = areas_.first_in(0, kLastIova); area != end; area = areas_.next(*area)) {
    if (!area->pages) continue;
    IoptPages& pages = *area->pages;
    const schedule::Lock lock(pages.mutex());
    unfill(*area, pages, domain);
  }
}

/// iopt_calculate_iova_alignment().
std::uint64_t IoPagetable::smallest_alignment() const {
  std::uint64_t alignment = disable_large_pages_ ? kPageSize : 1;
  for (const iommu::Domain* domain : domains_)
    alignment = std::max(alignment, smallest_page(*domain));
  for (const Accessor* accessor : accessors_)
    alignment = std::max(alignment, accessor->alignment());
  return alignment;
}

Result<void> IoPagetable::set_alignment(std::uint64_t alignment) {
  if (alignment > alignment_) {
    for (Area* area = areas_.first_in(0, kLastIova); area != nullptr; area = areas_.next(*area))
      if ((area->first | area->length() | area->start_byte) % alignment != 0)
        return fail(Errno::kAddrInUse, "a mapping is not aligned as the IOMMU needs it");
  }
  alignment_ = alignment;
  return {};
}

Result<void> IoPagetable::add_domain(iommu::Domain& domain) {
  const schedule::WriteLock domains(domains_rwsem_);
  const schedule::WriteLock iovas(iova_rwsem_);
  const std::uint64_t old_alignment = alignment_;
  if (smallest_page(domain) > kPageSize)
    return fail(Errno::kInval, "the IOMMU's pages are larger than the CPU's");
  TEEIO_TRY(set_alignment(std::max(alignment_, smallest_page(domain))));
  Result<void> added;
  if (domain.first_iova() != 0) added = reserve({0, domain.first_iova() - 1}, &domain);
  if (added.has_value() && domain.last_iova() != kLastIova)
    added = reserve({domain.last_iova() + 1, kLastIova}, &domain);
  if (added.has_value()) added = schedule::allocate("a place for a domain");
  if (added.has_value()) added = fill_domain(domain);
  if (!added.has_value()) {
    unreserve_locked(&domain);
    alignment_ = old_alignment;
    return added;
  }
  domains_.push_back(&domain);
  return {};
}

void IoPagetable::remove_domain(iommu::Domain& domain) {
  const schedule::WriteLock domains(domains_rwsem_);
  const schedule::WriteLock iovas(iova_rwsem_);
  TEEIO_CHECK(std::erase(domains_, &domain) == 1, "a domain leaves an IOAS that it is not in");
  unfill_domain(domain, nullptr);
  unreserve_locked(&domain);
  TEEIO_CHECK(set_alignment(smallest_alignment()).has_value(), "the IOVA alignment cannot shrink");
}

std::uint64_t IoPagetable::page_sizes() {
  const schedule::ReadLock domains(domains_rwsem_);
  const schedule::ReadLock iovas(iova_rwsem_);
  std::uint64_t sizes = ~std::uint64_t{0};
  for (const iommu::Domain* domain : domains_) sizes &= domain->page_sizes();
  // Smaller ones than a page are said to be pages: vfio_update_pgsize_bitmap().
  constexpr std::uint64_t kBelowPage = kPageSize - 1;
  if ((sizes & kBelowPage) != 0) sizes = (sizes & ~kBelowPage) | kPageSize;
  return std::max(sizes, alignment_);
}

Result<void> IoPagetable::disable_large_pages() {
  const schedule::WriteLock domains(domains_rwsem_);
  const schedule::WriteLock iovas(iova_rwsem_);
  if (disable_large_pages_) return {};
  if (!domains_.empty() && !areas_.empty())
    return fail(Errno::kInval, "domains have mappings already");
  disable_large_pages_ = true;
  auto aligned = set_alignment(smallest_alignment());
  disable_large_pages_ = aligned.has_value();
  return aligned;
}

void IoPagetable::enable_large_pages() {
  const schedule::WriteLock domains(domains_rwsem_);
  const schedule::WriteLock iovas(iova_rwsem_);
  disable_large_pages_ = false;
  TEEIO_CHECK(set_alignment(smallest_alignment()).has_value(), "the IOVA alignment cannot shrink");
}

bool IoPagetable::large_pages() {
  const schedule::ReadLock domains(domains_rwsem_);
  return !disable_large_pages_;
}

}  // namespace teeio::iommufd
