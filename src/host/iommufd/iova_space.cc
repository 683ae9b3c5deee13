// Which IOVAs are free, allowed and reserved: the rest of IoPagetable.

#include <algorithm>
#include <bit>
#include <limits>

#include "host/iommufd/io_pagetable.h"
#include "schedule/fault_point.h"
#include "schedule/seeded_bug.h"

namespace teeio::iommufd {
namespace {

/// CONFIG_TRANSPARENT_HUGEPAGE: HPAGE_SIZE.
constexpr std::uint64_t kMaxAlignment = std::uint64_t{1} << 21U;
/// Automatic allocation stays off the first and the last page.
constexpr IovaRange kAllocatable{kPageSize, IoPagetable::kLastIova - kPageSize};

bool overlap(const IovaRange& a, const IovaRange& b) {
  return a.first <= b.last && b.first <= a.last;
}

/// __alloc_iova_check_range(): where `length` bytes fit between `first` and
/// `last`, or nullopt.
std::optional<std::uint64_t> place_in(const IovaRange& range, std::uint64_t length,
                                      std::uint64_t alignment, std::uint64_t page_offset) {
  const bool wraps = range.first > IoPagetable::kLastIova - (alignment - 1);
  if (wraps && !schedule::seeded("iova-align-overflow")) return std::nullopt;
  const std::uint64_t start = ((range.first + alignment - 1) & ~(alignment - 1)) | page_offset;
  if (start >= range.last || range.last - start < length - 1) return std::nullopt;
  return start;
}

}  // namespace

Result<void> IoPagetable::check_iova(std::uint64_t iova, std::uint64_t length) {
  if (iova % alignment_ != 0) return fail(Errno::kInval, "the IOVA is not aligned");
  if (length - 1 > kLastIova - iova)
    return fail(Errno::kOverflow, "the range passes the last IOVA");
  const IovaRange range{iova, iova + (length - 1)};
  for (const Reserved& reserved : reserved_)
    if (overlap(reserved.range, range)) return fail(Errno::kInval, "the IOVA range is reserved");
  if (areas_.seek(range.first, range.last) != nullptr)
    return fail(Errno::kExist, "the IOVA range is mapped already");
  return {};
}

Result<std::uint64_t> IoPagetable::alloc_iova(std::uint64_t hint, std::uint64_t length) {
  if (length >= std::numeric_limits<std::uint64_t>::max() / 2)
    return fail(Errno::kOverflow, "the length is no length of memory");
  // Keeps the alignment of the memory, so that large pages stay possible.
  std::uint64_t alignment = std::bit_ceil(length);
  if (hint != 0) alignment = std::min(alignment, std::uint64_t{1} << std::countr_zero(hint));
  alignment = std::min(alignment, kMaxAlignment);
  if (alignment < alignment_)
    return fail(Errno::kInval, "the memory is not aligned as the IOMMU needs it");

  const std::uint64_t page_offset = hint % kPageSize;
  const std::span<const IovaRange> allowed =
      allowed_.empty() ? std::span(&kAllocatable, 1) : std::span<const IovaRange>(allowed_);
  for (IovaRange range : allowed) {
    range.first = std::max(range.first, kAllocatable.first);
    range.last = std::min(range.last, kAllocatable.last);
    if (range.first > range.last) continue;
    if (const auto at = find_hole(range, length, alignment, page_offset)) return *at;
  }
  return fail(Errno::kNoSpc, "no free IOVA range is large enough");
}

std::optional<IovaRange> IoPagetable::used_at_or_after(std::uint64_t iova) {
  std::optional<IovaRange> nearest;
  if (const Area* area = areas_.first_in(iova, kLastIova))
    nearest = IovaRange{area->first, area->last};
  for (const Reserved& reserved : reserved_)
    if (reserved.range.last >= iova && (!nearest || reserved.range.first < nearest->first))
      nearest = reserved.range;
  return nearest;
}

std::optional<std::uint64_t> IoPagetable::find_hole(IovaRange within, std::uint64_t length,
                                                    std::uint64_t alignment,
                                                    std::uint64_t page_offset) {
  const auto fits = place_in(within, length, alignment, page_offset);
  if (!fits) return std::nullopt;
  std::uint64_t from = *fits;
  std::uint64_t* const full_until =
      page_offset == 0 && alignment >= kPageSize
          ? &full_until_[static_cast<std::size_t>(std::countr_zero(alignment)) - kPageShift]
          : nullptr;
  if (full_until != nullptr) from = std::max(from, *full_until);
  // Whether everything below `from` is known to be taken, not only too short.
  bool all_taken = full_until != nullptr && within.first <= kPageSize;
  while (from <= within.last) {
    const std::optional<IovaRange> used = used_at_or_after(from);
    if (used && used->first <= from) {
      const std::uint64_t taken = full_until == nullptr ? used->last : used->last | (alignment - 1);
      if (taken >= within.last) return std::nullopt;
      from = taken + 1;
      if (all_taken) *full_until = from;
      continue;
    }
    all_taken = false;
    const std::uint64_t hole_last = used ? std::min(used->first - 1, within.last) : within.last;
    if (const auto at = place_in({from, hole_last}, length, alignment, page_offset)) return at;
    if (hole_last == within.last) return std::nullopt;
    from = hole_last + 1;
  }
  return std::nullopt;
}

void IoPagetable::forget_full_from(std::uint64_t iova) {
  for (std::uint64_t& until : full_until_) until = std::min(until, iova);
}

IoPagetable::Ranges IoPagetable::usable_ranges() {
  const schedule::ReadLock lock(iova_rwsem_);
  std::vector<IovaRange> reserved;
  for (const Reserved& entry : reserved_) reserved.push_back(entry.range);
  std::ranges::sort(reserved, {}, &IovaRange::first);
  Ranges ranges{{}, alignment_};
  std::uint64_t from = 0;
  for (const IovaRange& range : reserved) {
    if (range.last < from) continue;
    if (range.first > from) ranges.usable.push_back({from, range.first - 1});
    if (range.last == kLastIova) return ranges;
    from = range.last + 1;
  }
  ranges.usable.push_back({from, kLastIova});
  return ranges;
}

std::uint64_t IoPagetable::alignment() {
  const schedule::ReadLock lock(iova_rwsem_);
  return alignment_;
}

Result<void> IoPagetable::set_allowed(std::vector<IovaRange> ranges) {
  std::ranges::sort(ranges, {}, &IovaRange::first);
  const schedule::WriteLock lock(iova_rwsem_);
  for (const IovaRange& range : ranges)
    for (const Reserved& reserved : reserved_)
      if (overlap(range, reserved.range))
        return fail(Errno::kAddrInUse, "an allowed IOVA range is reserved");
  allowed_ = std::move(ranges);
  return {};
}

Result<void> IoPagetable::reserve(IovaRange range, const void* owner) {
  TEEIO_TRY(schedule::allocate("a reserved range of IOVAs"));
  if (areas_.first_in(range.first, range.last) != nullptr)
    return fail(Errno::kAddrInUse, "a mapping lies where the device or the IOMMU cannot reach");
  for (const IovaRange& allowed : allowed_)
    if (overlap(allowed, range))
      return fail(Errno::kAddrInUse, "an allowed IOVA range would become reserved");
  reserved_.push_back({range, owner});
  return {};
}

void IoPagetable::unreserve_locked(const void* owner) {
  std::erase_if(reserved_, [owner](const Reserved& r) { return r.owner == owner; });
  forget_full_from(0);  // what was reserved may be free now
}

Result<void> IoPagetable::reserve_for_device(const void* owner,
                                             const std::vector<iommu::ReservedRegion>& regions) {
  const schedule::WriteLock lock(iova_rwsem_);
  for (const iommu::ReservedRegion& region : regions) {
    auto reserved = reserve({raw(region.first), raw(region.last)}, owner);
    if (reserved.has_value()) continue;
    unreserve_locked(owner);
    return reserved;
  }
  return {};
}

Result<void> IoPagetable::reserve_for_all(IovaRange range) {
  const schedule::WriteLock lock(iova_rwsem_);
  return reserve(range, nullptr);
}

void IoPagetable::unreserve(const void* owner) {
  const schedule::WriteLock lock(iova_rwsem_);
  unreserve_locked(owner);
}

}  // namespace teeio::iommufd
