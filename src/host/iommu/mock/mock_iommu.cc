#include "host/iommu/mock/mock_iommu.h"

#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "host/iommu/mock/nested.h"

namespace teeio::mock {
Iommu::Function& Iommu::at(std::uint32_t group) {
  const auto found = functions_.find(group);
  TEEIO_CHECK(found != functions_.end(), "a mock group has no function");
  return found->second;
}

void Iommu::declare(std::uint32_t group, FunctionKind kind) {
  const schedule::Lock lock(mutex_);
  Function& function = functions_[group];
  function.kind = kind;
  function.cache.fill(kCacheDefault);
}

std::optional<std::uint32_t> Iommu::cache(std::uint32_t group, std::uint32_t index) {
  const schedule::Lock lock(mutex_);
  if (index >= kCaches) return std::nullopt;
  return at(group).cache.at(index);
}

Result<void> Iommu::trigger_event(std::uint32_t group) {
  VirtualIommu* viommu = nullptr;
  std::uint64_t virt_id = 0;
  {
    const schedule::Lock lock(mutex_);
    viommu = at(group).viommu;
    virt_id = at(group).virt_id;
  }
  if (viommu == nullptr || virt_id == 0)
    return fail(Errno::kNoEnt, "the function is attached behind no vIOMMU");
  const auto event = static_cast<std::uint32_t>(virt_id);  // iommu_viommu_event_selftest
  return viommu->sink().report(kVeventqType, bytes_of(event));
}

const iommu::Attachable* Iommu::attached(std::uint32_t group, std::uint32_t pasid) {
  const schedule::Lock lock(mutex_);
  if (pasid == 0) return groups_.at(group).domain;
  const auto& pasids = at(group).pasids;
  const auto found = pasids.find(pasid);
  return found == pasids.end() ? nullptr : found->second;
}

Result<void> Iommu::probe(Bdf function, std::uint32_t group, unsigned) {
  const schedule::Lock lock(mutex_);
  groups_.join(group, function);
  return {};
}

void Iommu::release(Bdf function) {
  const schedule::Lock lock(mutex_);
  for (const auto& [number, group] : groups_.all())
    if (group.functions.contains(function)) functions_.erase(number);
  groups_.leave(function);
}

Result<std::unique_ptr<iommu::Domain>> Iommu::alloc_paging_domain(iommu::Domain::Kind kind) {
  return std::unique_ptr<iommu::Domain>(
      std::make_unique<Domain>(*this, iommu::PagingRequest{.kind = kind}, Table::kDefault));
}

Result<std::unique_ptr<iommu::Domain>> Iommu::alloc_paging_domain(
    const iommu::PagingRequest& request) {
  if (request.dirty_tracking && !tracks_dirty(request.group))
    return fail(Errno::kOpNotSupp, "the mock function does not track dirty pages");
  struct {
    std::uint32_t iotlb;
    std::uint32_t table;
  } config{};
  if (request.data != nullptr) {
    if (request.data->type() != kHwptData)
      return fail(Errno::kOpNotSupp, "the mock makes HWPTs of its own data only");
    TEEIO_TRY(iommu::copy_struct(*request.data, 0, kHwptData, sizeof(config.iotlb),
                                 writable_bytes_of(config)));
  }
  if (config.table > 1) return fail(Errno::kOpNotSupp, "the mock has two kinds of page table");
  const Table table = config.table == 0 ? Table::kDefault : Table::kHuge;
  return std::unique_ptr<iommu::Domain>(std::make_unique<Domain>(*this, request, table));
}

Result<std::unique_ptr<iommu::NestedDomain>> Iommu::alloc_nested(std::uint32_t, iommu::Domain&,
                                                                 std::uint32_t flags,
                                                                 iommu::UserData& data) {
  if ((flags & ~kAllocPasid) != 0) return fail(Errno::kOpNotSupp, "unknown flag of a nested HWPT");
  return NestedDomain::create(*this, nullptr, data);
}

Result<std::unique_ptr<iommu::VirtualIommu>> Iommu::make_virtual_iommu(std::uint32_t /*type*/,
                                                                       iommu::Domain& parent,
                                                                       iommu::EventSink& sink,
                                                                       iommu::SharedPages& pages,
                                                                       iommu::UserData* data) {
  // iommu_viommu_selftest.
  struct {
    std::uint32_t in;
    std::uint32_t out;
    std::uint64_t mmap_offset;
    std::uint64_t mmap_length;
  } loop{};
  constexpr std::uint32_t kMinimum = 2 * sizeof(std::uint32_t);
  if (data != nullptr) {
    TEEIO_TRY(iommu::copy_struct(*data, 0, kViommuType, kMinimum, writable_bytes_of(loop)));
    loop.mmap_length = 2 * kPageSize;
    TEEIO_ASSIGN(loop.mmap_offset, pages.share(loop.mmap_length, bytes_of(loop.in)));
    loop.out = loop.in;
    TEEIO_TRY(iommu::copy_struct_back(*data, kViommuType, kMinimum, bytes_of(loop)));
  }
  return std::unique_ptr<iommu::VirtualIommu>(std::make_unique<VirtualIommu>(*this, parent, sink));
}

bool Iommu::tracks_dirty(std::uint32_t group) {
  const schedule::Lock lock(mutex_);
  return !at(group).kind.no_dirty;
}

std::uint32_t Iommu::max_pasids(std::uint32_t group) {
  const schedule::Lock lock(mutex_);
  return at(group).kind.pasid ? 1U << kPasidWidth : 0;
}

Result<void> Iommu::claim_dma_owner(std::uint32_t group, const void* owner) {
  const schedule::Lock lock(mutex_);
  TEEIO_TRY(groups_.claim(group, owner));
  return {};
}

void Iommu::release_dma_owner(std::uint32_t group) {
  const schedule::Lock lock(mutex_);
  (void)groups_.release(group);
}

bool Iommu::dma_owner_claimed(std::uint32_t group) {
  const schedule::Lock lock(mutex_);
  return groups_.at(group).owner_count != 0;
}

Result<void> Iommu::use_default_domain(std::uint32_t group) {
  const schedule::Lock lock(mutex_);
  return groups_.use_default_domain(group);
}

void Iommu::unuse_default_domain(std::uint32_t group) {
  const schedule::Lock lock(mutex_);
  groups_.unuse_default_domain(group);
}

Result<void> Iommu::attach(std::uint32_t group, iommu::Attachable& domain) {
  TEEIO_CHECK(&domain.iommu() == this, "a domain is attached behind another IOMMU");
  const schedule::Lock lock(mutex_);
  Function& function = at(group);
  auto* paging = dynamic_cast<Domain*>(&domain);
  if (paging != nullptr && paging->dirty_tracking() != nullptr && function.kind.no_dirty)
    return fail(Errno::kInval, "the mock function does not track dirty pages");
  VirtualIommu* viommu = nullptr;
  std::uint64_t virt_id = 0;
  if (auto* nested = dynamic_cast<NestedDomain*>(&domain); nested != nullptr) {
    viommu = nested->viommu();
    if (viommu != nullptr) {
      const auto found = viommu->virt_id_of(group);
      if (!found) return fail(Errno::kNoEnt, "the function has no vDEVICE in this vIOMMU");
      virt_id = *found;
    }
  }
  if (viommu != function.viommu) {
    function.viommu = viommu;
    function.virt_id = virt_id;
  }
  groups_.attach(group, domain);
  return {};
}

void Iommu::detach(std::uint32_t group) {
  const schedule::Lock lock(mutex_);
  at(group).viommu = nullptr;
  groups_.detach(group);
}

Result<void> Iommu::attach_pasid(std::uint32_t group, std::uint32_t pasid,
                                 iommu::Attachable& domain) {
  TEEIO_CHECK(&domain.iommu() == this, "a domain is attached behind another IOMMU");
  const schedule::Lock lock(mutex_);
  Function& function = at(group);
  // "pasid-num-bits" of one without is 0, and so PASID 0 all that it has
  // (dev_iommu_get_max_pasids()).
  if (pasid >= (function.kind.pasid ? 1U << kPasidWidth : 1U))
    return fail(Errno::kInval, "the function does not have this PASID");
  if (function.kind.pasid && pasid == kFailingPasid) {
    if (std::exchange(function.next_fails, !function.next_fails))
      return fail(Errno::kNoMem, "PASID 1024 of the mock fails every second time");
  }
  function.pasids[pasid] = &domain;
  return {};
}

void Iommu::detach_pasid(std::uint32_t group, std::uint32_t pasid) {
  const schedule::Lock lock(mutex_);
  Function& function = at(group);
  if (pasid == kFailingPasid) function.next_fails = false;
  TEEIO_CHECK(function.pasids.erase(pasid) == 1, "a mock PASID is detached that is not attached");
}

Result<iommu::HwInfo> Iommu::hw_info(std::uint32_t type) const {
  if (type != iommu::HwInfo::kTypeNone && type != kSelftestHwInfo)
    return fail(Errno::kOpNotSupp, "the mock reports its own information only");
  struct {
    std::uint32_t flags;
    std::uint32_t test_reg;
  } info{.flags = 0, .test_reg = kRegisterValue};
  const ByteView bytes = bytes_of(info);
  return iommu::HwInfo{.type = kSelftestHwInfo, .data = Bytes(bytes.begin(), bytes.end())};
}

}  // namespace teeio::mock
