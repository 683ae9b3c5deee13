#include "host/iommu/vtd/domain.h"

#include <utility>

#include "host/iommu/vtd/driver.h"

namespace teeio::vtd {

Domain::~Domain() { driver_.free_domain_id(id_); }

const iommu::Iommu& Domain::iommu() const { return driver_; }

Result<void> Domain::map(Iova iova, Hpa hpa, std::uint64_t length, Prot prot) {
  const unsigned access = std::to_underlying(prot);
  if (access == 0) return fail(Errno::kInval, "a page table maps nothing without access");
  if (kind_ == Kind::kNestParent && driver_.model() == Model::kIntel &&
      (access & std::to_underlying(Prot::kWrite)) == 0)
    return fail(Errno::kInval, "a nest parent maps nothing read-only: erratum 772415");
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
  if (table_->read_dirty(Iova{first}, length, clear, visitor)) invalidate(Iova{first}, length);
}

void Domain::add_nested(std::uint16_t id) {
  const schedule::Lock lock(mutex_);
  nested_.insert(id);
}

void Domain::remove_nested(std::uint16_t id) {
  const schedule::Lock lock(mutex_);
  nested_.erase(id);
}

void Domain::invalidate(Iova iova, std::uint64_t length) {
  driver_.hardware().invalidate_range(hw::TBit::kShared, id_, iova, length);
  for (const std::uint16_t nested : nested_)
    driver_.hardware().invalidate_range(hw::TBit::kShared, nested, iova, length);
}

void Domain::flush(Iova iova, std::uint64_t length, const std::vector<Hpa>& freed) {
  invalidate(iova, length);
  for (const Hpa frame : freed) driver_.memory().free_page(frame);
}

}  // namespace teeio::vtd
