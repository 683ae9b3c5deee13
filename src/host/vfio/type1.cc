#include "host/vfio/type1.h"

#include <bit>
#include <iterator>

#include "base/check.h"
#include "host/vfio/bar_pages.h"

// Mappings of a type 1 container. Source: Linux drivers/vfio/vfio_iommu_type1.c.

namespace teeio::vfio {
namespace {

/// Whether `first` + `length` - 1 passes the end; `length` is not 0.
bool overflows(std::uint64_t first, std::uint64_t length) {
  return length - 1 > ~std::uint64_t{0} - first;
}

iommu::Prot prot_of(const Type1::Map& map) {
  if (map.read && map.write) return iommu::Prot::kReadWrite;
  return map.write ? iommu::Prot::kWrite : iommu::Prot::kRead;
}

/// vaddr_get_pfns(): memory, or else a BAR that the program has mapped.
Result<object::Ref<iommufd::IoptPages>> pages_of(hw::PhysicalMemory& physical,
                                                 mm::UserMemory& memory, const Type1::Map& map) {
  const mm::Access access = map.write ? mm::Access::kReadWrite : mm::Access::kRead;
  auto pinned = memory.pin(map.user_va, map.length, access);
  if (!pinned) return bar_pages(memory, map.user_va, map.length, access);
  return object::Ref<iommufd::IoptPages>(object::make_ref<iommufd::UserPages>(
      physical, nullptr, iommufd::IoptPages::Source::kProgram, std::move(pinned), map.write,
      map.user_va, mm::Charges::Mode::kType1));
}

}  // namespace

Type1::~Type1() {
  const schedule::Lock lock(lock_);
  TEEIO_CHECK(domains_.empty() && dmas_.empty(), "a type 1 IOMMU ends with groups or mappings");
}

Type1::Dmas::iterator Type1::first_in(std::uint64_t first, std::uint64_t last) {
  auto at = dmas_.upper_bound(first);
  if (at != dmas_.begin())
    if (const auto before = std::prev(at); before->first + (before->second.length - 1) >= first)
      at = before;
  return at != dmas_.end() && at->first <= last ? at : dmas_.end();
}

bool Type1::cuts(std::uint64_t first, std::uint64_t last) {
  const auto low = first_in(first, first);
  if (low != dmas_.end() && low->first != first) return true;
  const auto high = first_in(last, last);
  return high != dmas_.end() && high->first + (high->second.length - 1) != last;
}

std::uint64_t Type1::page_size() const {
  return std::uint64_t{1} << static_cast<unsigned>(std::countr_zero(page_sizes_));
}

/// vfio_pin_map_dma(), of one domain.
Result<void> Type1::fill(std::uint64_t iova, Dma& dma, iommu::Domain& domain) {
  iommufd::IoptPages& pages = *dma.pages;
  const schedule::Lock lock(pages.mutex());
  return pages.map(domain, Iova{iova}, 0, dma.length, dma.prot);
}

void Type1::unfill(std::uint64_t iova, Dma& dma, iommu::Domain& domain) {
  iommufd::IoptPages& pages = *dma.pages;
  const schedule::Lock lock(pages.mutex());
  pages.unmap(domain, Iova{iova}, 0, dma.length);
}

Result<void> Type1::map(mm::UserMemory& memory, const Map& map) {
  if (map.length == 0) return fail(Errno::kInval, "length is zero");
  if (overflows(map.iova, map.length) || overflows(map.user_va, map.length))
    return fail(Errno::kOverflow, "the range passes the last IOVA or address");
  if ((map.read || map.write) == map.new_address)
    return fail(Errno::kInval, "a mapping is readable or writeable, a new address neither");
  const schedule::Lock lock(lock_);
  if (((map.length | map.iova | map.user_va) & (page_size() - 1)) != 0)
    return fail(Errno::kInval, "the range is not aligned as the IOMMU needs it");
  const std::uint64_t last = map.iova + (map.length - 1);
  if (map.new_address) return new_address(map);
  if (first_in(map.iova, last) != dmas_.end())
    return fail(Errno::kExist, "the IOVA range is mapped already");
  if (mappings_left_ == 0) return fail(Errno::kNoSpc, "the container has no mapping left");
  bool valid = false;
  for (const iommufd::IovaRange& range : usable())
    valid = valid || (map.iova >= range.first && last <= range.last);
  if (!valid) return fail(Errno::kInval, "the IOVA range is reserved or out of reach");
  if (dirty_tracking_ && map.length / page_size() > kMaxBitmapPages)
    return fail(Errno::kInval, "the mapping is larger than a dirty bitmap can be");
  TEEIO_ASSIGN(auto pages, pages_of(memory_, memory, map));
  Dma dma{.length = map.length, .prot = prot_of(map), .pages = std::move(pages)};
  for (std::size_t i = 0; i < domains_.size(); ++i) {
    auto filled = fill(map.iova, dma, *domains_[i].domain);
    if (filled.has_value()) continue;
    for (std::size_t undo = 0; undo < i; ++undo) unfill(map.iova, dma, *domains_[undo].domain);
    return filled;
  }
  if (dirty_tracking_) make_bitmap(dma);
  dmas_.emplace(map.iova, std::move(dma));
  --mappings_left_;
  return {};
}

/// What was pinned stays pinned: a new address is for what would be pinned later.
Result<void> Type1::new_address(const Map& map) {
  const auto dma = first_in(map.iova, map.iova + (map.length - 1));
  if (dma == dmas_.end()) return fail(Errno::kNoEnt, "nothing is mapped in the range");
  if (!dma->second.vaddr_invalid || dma->first != map.iova || dma->second.length != map.length)
    return fail(Errno::kInval, "no mapping of this range has lost its address");
  dma->second.vaddr_invalid = false;
  --vaddr_invalid_;
  return {};
}

Type1::Dmas::iterator Type1::remove(Dmas::iterator dma) {
  for (const PagingDomain& domain : domains_) unfill(dma->first, dma->second, *domain.domain);
  if (dma->second.vaddr_invalid) --vaddr_invalid_;
  ++mappings_left_;
  return dmas_.erase(dma);
}

Result<void> Type1::check_range(const Unmap& unmap, std::uint64_t& last) {
  const std::uint64_t mask = page_size() - 1;
  if ((unmap.iova & mask) != 0) return fail(Errno::kInval, "the IOVA is not aligned");
  if (unmap.all) {
    if (unmap.iova != 0 || unmap.length != 0)
      return fail(Errno::kInval, "unmapping everything takes no range");
    last = kLastIova;
  } else {
    if (unmap.length == 0 || (unmap.length & mask) != 0)
      return fail(Errno::kInval, "length is zero or not aligned");
    if (overflows(unmap.iova, unmap.length))
      return fail(Errno::kOverflow, "the range passes the last IOVA");
    last = unmap.iova + (unmap.length - 1);
  }
  if (unmap.page_size != 0 && (!dirty_tracking_ || unmap.page_size != page_size()))
    return fail(Errno::kInval, "no dirty tracking, or not with this page size");
  if (version_ == Version::kV2 && !unmap.all && cuts(unmap.iova, last))
    return fail(Errno::kInval, "the range cuts a mapping");
  return {};
}

Result<std::uint64_t> Type1::unmap(mm::UserMemory& memory, const Unmap& unmap) {
  const schedule::Lock lock(lock_);
  std::uint64_t last = 0;
  TEEIO_TRY(check_range(unmap, last));
  if (unmap.take_vaddr) return take_addresses(unmap.iova, last);
  std::uint64_t unmapped = 0;
  auto dma = first_in(unmap.iova, last);
  while (dma != dmas_.end() && dma->first <= last) {
    if (version_ == Version::kV1 && unmap.iova > dma->first) break;
    if (unmap.page_size != 0)
      TEEIO_TRY(write_bitmap(memory, dma->second, unmap.bitmap,
                             (dma->first - unmap.iova) / unmap.page_size));
    unmapped += dma->second.length;
    dma = remove(dma);
  }
  return unmapped;
}

/// All of them or none.
Result<std::uint64_t> Type1::take_addresses(std::uint64_t first, std::uint64_t last) {
  std::vector<Dma*> taken;
  std::uint64_t bytes = 0;
  for (auto dma = first_in(first, last); dma != dmas_.end() && dma->first <= last; ++dma) {
    if (version_ == Version::kV1 && first > dma->first) break;
    if (dma->second.vaddr_invalid)
      return fail(Errno::kInval, "the address of a mapping was taken back already");
    taken.push_back(&dma->second);
    bytes += dma->second.length;
  }
  for (Dma* dma : taken) dma->vaddr_invalid = true;
  vaddr_invalid_ += static_cast<std::uint32_t>(taken.size());
  return bytes;
}

}  // namespace teeio::vfio
