#include "host/iommu/amd/domain.h"

#include <utility>

#include "host/iommu/amd/driver.h"

namespace teeio::amdvi {

Domain::Domain(Driver& driver, const iommu::PagingRequest& request, std::uint16_t id,
               std::unique_ptr<PageTable> table)
    : driver_(driver),
      kind_(request.kind),
      has_dirty_(request.dirty_tracking),
      id_(id),
      top_(raw(table->root()) | table->levels()),
      table_(std::move(table)) {}

Domain::~Domain() { driver_.free_domain_id(id_); }

const iommu::Iommu& Domain::iommu() const { return driver_; }

/// amd_iommu_change_top(): every device entry has the new top before anything is mapped
/// that only it covers.
Result<void> Domain::cover(Iova last) {
  Result<bool> grew = false;
  {
    const schedule::Lock lock(mutex_);
    grew = table_->grow(last);
    top_.store(raw(table_->root()) | table_->levels());
  }
  if (!grew) return std::unexpected(grew.error());
  if (*grew) driver_.top_changed(*this);
  return {};
}

Result<void> Domain::map(Iova iova, Hpa hpa, std::uint64_t length, Prot prot) {
  if (std::to_underlying(prot) == 0)
    return fail(Errno::kInval, "a page table maps nothing without access");
  TEEIO_TRY(cover(iova + (length - 1)));
  const schedule::Lock lock(mutex_);
  auto mapped = table_->map(iova, hpa, length, prot);
  if (mapped.has_value()) return {};
  std::vector<Hpa> freed;
  table_->unmap(iova, length, freed);
  flush(iova, length, freed);
  return mapped;
}

std::uint64_t Domain::unmap(Iova iova, std::uint64_t length) {
  const schedule::Lock lock(mutex_);
  std::vector<Hpa> freed;
  const std::uint64_t unmapped = table_->unmap(iova, length, freed);
  flush(iova, length, freed);
  return unmapped;
}

std::optional<Hpa> Domain::translate(Iova iova) const {
  const schedule::Lock lock(mutex_);
  return table_->translate(iova);
}

Result<void> Domain::set_dirty_tracking(bool on) {
  driver_.set_dirty_tracking(*this, on);
  return {};
}

void Domain::read_dirty(std::uint64_t first, std::uint64_t length, Clear clear, Visitor& visitor) {
  const schedule::Lock lock(mutex_);
  if (table_->read_dirty(Iova{first}, length, clear, visitor)) flush(Iova{first}, length, {});
}

/// amd_iommu_iotlb_sync(): the hardware forgets before the frames go back.
void Domain::flush(Iova iova, std::uint64_t length, const std::vector<Hpa>& freed) {
  driver_.queue().invalidate_pages(id_, iova, length);
  for (const Hpa frame : freed) driver_.memory().free_page(frame);
}

}  // namespace teeio::amdvi
