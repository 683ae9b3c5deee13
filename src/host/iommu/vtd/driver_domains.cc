// What the driver does with domains: which there are, who uses them, and how that changes.

#include <algorithm>
#include <bit>

#include "base/check.h"
#include "host/iommu/vtd/driver.h"

namespace teeio::vtd {
namespace {

/// Ids 0 and 1 mean something to hardware and to Linux (IDA_START_DID).
constexpr std::uint32_t kFirstDomainId = 2;
constexpr std::uint32_t kDomainIds = 1U << 16U;
constexpr std::uint32_t kAllocPasid = 8;  // IOMMU_HWPT_ALLOC_PASID

/// calculate_psi_aligned_address(): the hardware takes aligned powers of two of pages.
struct AlignedPages {
  Iova first;
  Iova last;
};
AlignedPages aligned(Iova first, std::uint64_t pages) {
  const std::uint64_t begin = raw(first) >> kPageShift;
  const std::uint64_t end = begin + pages - 1;
  const auto shift = static_cast<unsigned>(std::bit_width(begin ^ end)) + kPageShift;
  const std::uint64_t below = shift >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << shift) - 1;
  return {Iova{raw(first) & ~below}, Iova{raw(first) | below}};
}

}  // namespace

Result<std::uint16_t> Driver::alloc_domain_id() {
  const schedule::Lock lock(mutex_);
  std::uint32_t id = kFirstDomainId;
  for (const std::uint16_t used : domain_ids_) {
    if (used != id) break;
    ++id;
  }
  if (id == kDomainIds) return fail(Errno::kNoSpc, "every domain id of the IOMMU is in use");
  domain_ids_.insert(static_cast<std::uint16_t>(id));
  return static_cast<std::uint16_t>(id);
}

void Driver::free_domain_id(std::uint16_t id) {
  const schedule::Lock lock(mutex_);
  hardware_.invalidate_domain(hw::TBit::kShared, id);
  domain_ids_.erase(id);
}

Result<std::unique_ptr<iommu::Domain>> Driver::alloc_paging_domain(iommu::Domain::Kind kind) {
  return alloc_paging_domain(iommu::PagingRequest{.kind = kind});
}

Result<std::unique_ptr<iommu::Domain>> Driver::alloc_paging_domain(
    const iommu::PagingRequest& request) {
  if (request.data != nullptr)
    return fail(Errno::kOpNotSupp, "a paging HWPT takes no data of the IOMMU's");
  if (request.dirty_tracking && model_ != Model::kIntel)
    return fail(Errno::kOpNotSupp, "the IOMMU does not track dirty pages");
  TEEIO_ASSIGN(std::unique_ptr<PageTable> table, PageTable::create(memory_));
  TEEIO_ASSIGN(const std::uint16_t id, alloc_domain_id());
  return std::unique_ptr<iommu::Domain>(new Domain(*this, request, id, std::move(table)));
}

Result<std::unique_ptr<iommu::NestedDomain>> Driver::alloc_nested(std::uint32_t,
                                                                  iommu::Domain& parent,
                                                                  std::uint32_t flags,
                                                                  iommu::UserData& data) {
  if (model_ != Model::kIntel) return fail(Errno::kOpNotSupp, "the IOMMU makes no nested HWPT");
  if ((flags & ~kAllocPasid) != 0) return fail(Errno::kOpNotSupp, "unknown flag of a nested HWPT");
  TEEIO_ASSIGN(auto domain, NestedDomain::create(*this, parent, data));
  return std::unique_ptr<iommu::NestedDomain>(std::move(domain));
}

std::uint32_t Driver::max_pasids(std::uint32_t number) {
  const schedule::Lock lock(mutex_);
  std::uint32_t most = 0;
  for (const Bdf function : groups_.at(number).functions)
    most = std::max(most, functions_.at(function).max_pasids);
  return most;
}

namespace {

Result<void> check_attach(const iommu::Attachable& domain) {
  if (domain.handles_faults) return fail(Errno::kNoDev, "no function here makes page requests");
  const auto* nested = dynamic_cast<const NestedDomain*>(&domain);
  return nested != nullptr ? nested->check() : Result<void>{};
}

}  // namespace

Result<void> Driver::attach(std::uint32_t number, iommu::Attachable& domain) {
  TEEIO_CHECK(&domain.iommu() == this, "a domain is attached behind another IOMMU");
  TEEIO_TRY(check_attach(domain));
  const schedule::Lock lock(mutex_);
  apply(groups_.attach(number, domain));
  return {};
}

// iommu_attach_device_pasid()
Result<void> Driver::check_pasid(std::uint32_t number, std::uint32_t pasid) {
  for (const Bdf function : groups_.at(number).functions) {
    const Function& found = functions_.at(function);
    if (found.max_pasids == 0) continue;
    if (pasid >= found.max_pasids)
      return fail(Errno::kInval, "the function does not have this PASID");
    TEEIO_TRY(found.pasids->reserve(pasid));
  }
  return {};
}

Result<void> Driver::attach_pasid(std::uint32_t number, std::uint32_t pasid,
                                  iommu::Attachable& domain) {
  TEEIO_CHECK(&domain.iommu() == this, "a domain is attached behind another IOMMU");
  if (model_ != Model::kIntel) return iommu::Iommu::attach_pasid(number, pasid, domain);
  TEEIO_TRY(check_attach(domain));
  const schedule::Lock lock(mutex_);
  TEEIO_TRY(check_pasid(number, pasid));
  pasids_[number][pasid] = &domain;
  apply_pasid(number, pasid, setting_of(domain));
  return {};
}

void Driver::detach_pasid(std::uint32_t number, std::uint32_t pasid) {
  const schedule::Lock lock(mutex_);
  TEEIO_CHECK(pasids_[number].erase(pasid) == 1, "a PASID is detached that is not attached");
  apply_pasid(number, pasid, {});
}

void Driver::set_dirty_tracking(Domain& domain, bool on) {
  const schedule::Lock lock(mutex_);
  if (domain.tracks_dirty_ == on) return;
  domain.tracks_dirty_ = on;
  const auto goes_through = [&domain](const iommu::Attachable* attached) {
    if (attached == nullptr) return false;
    const auto* nested = dynamic_cast<const NestedDomain*>(attached);
    return nested != nullptr ? &nested->parent() == &domain : attached == &domain;
  };
  for (const auto& [number, group] : groups_.all())
    if (goes_through(group.domain)) apply(group);
  for (const auto& [number, attached] : pasids_)
    for (const auto& [pasid, user] : attached)
      if (goes_through(user)) apply_pasid(number, pasid, setting_of(*user));
}

void Driver::flush_first_stage(const NestedDomain& domain, Iova first, std::uint64_t pages) {
  if (pages == 0) return;
  const bool all = pages > ~std::uint64_t{0} >> kPageShift;
  const AlignedPages range = aligned(first, all ? 1 : pages);
  const auto flush = [&](std::uint32_t pasid) {
    if (all)
      hardware_.invalidate_pasid(hw::TBit::kShared, domain.id(), hw::Pasid{pasid});
    else
      hardware_.invalidate_pasid_range(hw::TBit::kShared, domain.id(), hw::Pasid{pasid},
                                       range.first, range.last);
  };
  const schedule::Lock lock(mutex_);
  std::set<std::uint32_t> users;
  for (const auto& [number, group] : groups_.all())
    if (group.domain == &domain) users.insert(0);
  for (const auto& [number, attached] : pasids_)
    for (const auto& [pasid, user] : attached)
      if (user == &domain) users.insert(pasid);
  for (const std::uint32_t pasid : users) flush(pasid);
}

}  // namespace teeio::vtd
