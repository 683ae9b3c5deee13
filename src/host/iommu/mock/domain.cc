#include "host/iommu/mock/domain.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/check.h"
#include "host/iommu/mock/mock_iommu.h"

namespace teeio::mock {

Domain::Domain(const Iommu& iommu, const iommu::PagingRequest& request, Table table)
    : iommu_(iommu), kind_(request.kind), table_(table), has_dirty_(request.dirty_tracking) {}

Domain::~Domain() { TEEIO_CHECK(leaves_.empty(), "a mock domain ends with mappings"); }

const iommu::Iommu& Domain::iommu() const { return iommu_; }

/// The default table takes every power of two from a page up to what its root covers.
std::uint64_t Domain::page_sizes() const {
  if (table_ == Table::kHuge) return kHugePage | kPageSize;
  constexpr std::uint64_t kEnd = std::uint64_t{1} << 51U;
  return (kEnd - 1) & ~(kPage - 1);
}

std::uint64_t Domain::first_iova() const { return table_ == Table::kHuge ? 0 : kFirstIova; }

/// Of the huge one: 56 bits, sign extended in the format but not by iommufd.
std::uint64_t Domain::last_iova() const {
  return table_ == Table::kHuge ? (std::uint64_t{1} << 56U) - 1 : kLastIova;
}

std::uint64_t Domain::page_for(std::uint64_t iova, std::uint64_t hpa, std::uint64_t length) const {
  const std::uint64_t addresses = iova | hpa;
  std::uint64_t fitting = page_sizes() & (std::bit_floor(length) | (std::bit_floor(length) - 1));
  if (addresses != 0) {
    const std::uint64_t aligned = addresses & (~addresses + 1);
    fitting &= aligned | (aligned - 1);
  }
  TEEIO_CHECK(fitting != 0, "a mapping is not aligned to the mock's pages");
  return std::bit_floor(fitting);
}

Result<void> Domain::map(Iova iova, Hpa hpa, std::uint64_t length, iommu::Prot prot) {
  if (std::to_underlying(prot) == 0) return fail(Errno::kInval, "a mapping without access");
  const schedule::Lock lock(mutex_);
  for (std::uint64_t done = 0; done < length;) {
    const std::uint64_t size = page_for(raw(iova) + done, raw(hpa) + done, length - done);
    leaves_.emplace(raw(iova) + done, Leaf{.hpa = hpa + done, .size = size, .dirty = false});
    done += size;
  }
  return {};
}

std::uint64_t Domain::unmap(Iova iova, std::uint64_t length) {
  const schedule::Lock lock(mutex_);
  const auto first = leaves_.lower_bound(raw(iova));
  auto end = first;
  std::uint64_t bytes = 0;
  for (; end != leaves_.end() && end->first - raw(iova) < length; ++end) bytes += end->second.size;
  leaves_.erase(first, end);
  return bytes;
}

Domain::Leaves::const_iterator Domain::find(std::uint64_t iova) const {
  auto at = leaves_.upper_bound(iova);
  if (at == leaves_.begin()) return leaves_.end();
  --at;
  return iova - at->first < at->second.size ? at : leaves_.end();
}

std::optional<Hpa> Domain::translate(Iova iova) const {
  const schedule::Lock lock(mutex_);
  const auto at = find(raw(iova));
  if (at == leaves_.end()) return std::nullopt;
  return at->second.hpa + (raw(iova) - at->first);
}

bool Domain::tracking() const {
  const schedule::Lock lock(mutex_);
  return tracking_;
}

void Domain::set_dirty(std::uint64_t iova) {
  const schedule::Lock lock(mutex_);
  const auto at = find(iova);
  if (at != leaves_.end()) leaves_.at(at->first).dirty = true;
}

Result<void> Domain::set_dirty_tracking(bool on) {
  const schedule::Lock lock(mutex_);
  tracking_ = on;
  return {};
}

void Domain::read_dirty(std::uint64_t first, std::uint64_t length, Clear clear, Visitor& visitor) {
  const schedule::Lock lock(mutex_);
  const std::uint64_t last = first + (length - 1);
  auto at = leaves_.upper_bound(first);
  if (at != leaves_.begin()) --at;
  for (; at != leaves_.end() && at->first <= last; ++at) {
    const std::uint64_t leaf_last = at->first + (at->second.size - 1);
    if (!at->second.dirty || leaf_last < first) continue;
    const std::uint64_t from = std::max(first, at->first);
    visitor.dirty(from, std::min(last, leaf_last) - from + 1);
    if (clear == Clear::kYes) at->second.dirty = false;
  }
}

}  // namespace teeio::mock
