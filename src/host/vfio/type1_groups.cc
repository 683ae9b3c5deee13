// The groups of a type 1 container, and the IOVAs that all of them can use.
// Source: Linux drivers/vfio/vfio_iommu_type1.c.

#include <algorithm>

#include "base/check.h"
#include "host/vfio/type1.h"

namespace teeio::vfio {

using iommufd::IovaRange;

Type1::PagingDomain* Type1::domain_of(const iommu::Iommu& iommu) {
  const auto at = std::ranges::find(domains_, &iommu, &PagingDomain::iommu);
  return at == domains_.end() ? nullptr : &*at;
}

/// vfio_update_pgsize_bitmap().
void Type1::update_page_sizes() {
  page_sizes_ = ~std::uint64_t{0};
  for (const PagingDomain& domain : domains_) page_sizes_ &= domain.domain->page_sizes();
  constexpr std::uint64_t kBelowPage = kPageSize - 1;
  if ((page_sizes_ & kBelowPage) != 0) page_sizes_ = (page_sizes_ & ~kBelowPage) | kPageSize;
}

/// iommu->iova_list: what every domain reaches, without the reserved ranges of any group.
/// Linux keeps the list; with one kind of domain and of range an IOMMU it follows from them.
std::vector<IovaRange> Type1::usable() const {
  std::uint64_t last = kLastIova;
  std::vector<IovaRange> reserved;
  for (const PagingDomain& domain : domains_) {
    last = std::min(last, domain.domain->last_iova());
    for (const iommu::ReservedRegion& region : domain.iommu->reserved_regions())
      reserved.push_back({raw(region.first), raw(region.last)});
  }
  std::ranges::sort(reserved, {}, &IovaRange::first);
  std::vector<IovaRange> ranges;
  std::uint64_t from = 0;
  for (const IovaRange& range : reserved) {
    if (range.first > last) break;
    if (range.first > from) ranges.push_back({from, range.first - 1});
    if (range.last >= last) return ranges;
    from = std::max(from, range.last + 1);
  }
  ranges.push_back({from, last});
  return ranges;
}

/// vfio_iommu_replay().
Result<void> Type1::replay(iommu::Domain& domain) {
  for (auto dma = dmas_.begin(); dma != dmas_.end(); ++dma) {
    auto filled = fill(dma->first, dma->second, domain);
    if (filled.has_value()) continue;
    for (auto undo = dmas_.begin(); undo != dma; ++undo) unfill(undo->first, undo->second, domain);
    return filled;
  }
  return {};
}

Result<void> Type1::attach(std::uint32_t group, iommu::Iommu& iommu) {
  const schedule::Lock lock(lock_);
  if (vaddr_invalid_ != 0) return fail(Errno::kBusy, "a mapping has lost its address");
  if (PagingDomain* known = domain_of(iommu); known != nullptr) {
    TEEIO_TRY(iommu.attach(group, *known->domain));
    known->groups.push_back(group);
    return {};
  }
  TEEIO_ASSIGN(auto domain, iommu.alloc_paging_domain(iommu::Domain::Kind::kPlain));
  if (domain->last_iova() != kLastIova &&
      first_in(domain->last_iova() + 1, kLastIova) != dmas_.end())
    return fail(Errno::kInval, "a mapping lies beyond the reach of the group's IOMMU");
  for (const iommu::ReservedRegion& region : iommu.reserved_regions())
    if (first_in(raw(region.first), raw(region.last)) != dmas_.end())
      return fail(Errno::kInval, "a mapping lies in a reserved range of the group");
  // A plain domain of this IOMMU: no driver refuses it.
  TEEIO_TRY(replay(*domain));
  TEEIO_CHECK(iommu.attach(group, *domain).has_value(), "a plain domain is refused");
  domains_.push_back({.iommu = &iommu, .domain = std::move(domain), .groups = {group}});
  update_page_sizes();
  return {};
}

void Type1::detach(std::uint32_t group, iommu::Iommu& iommu) {
  const schedule::Lock lock(lock_);
  PagingDomain* const domain = domain_of(iommu);
  TEEIO_CHECK(domain != nullptr && std::erase(domain->groups, group) == 1,
              "a group leaves a type 1 IOMMU that it is not in");
  iommu.detach(group);
  if (!domain->groups.empty()) return;
  if (domains_.size() == 1)
    while (!dmas_.empty()) (void)remove(dmas_.begin());
  for (auto& [iova, dma] : dmas_) unfill(iova, dma, *domain->domain);
  domains_.erase(domains_.begin() + (domain - domains_.data()));
  update_page_sizes();
}

bool Type1::enforces_coherency() {
  const schedule::Lock lock(lock_);
  return std::ranges::all_of(
      domains_, [](const PagingDomain& domain) { return domain.iommu->enforces_coherency(); });
}

Type1::Info Type1::info() {
  const schedule::Lock lock(lock_);
  return {.page_sizes = page_sizes_, .mappings_left = mappings_left_, .usable = usable()};
}

}  // namespace teeio::vfio
