#include "host/iommu/mock/nested.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/check.h"

namespace teeio::mock {
namespace {

constexpr std::uint32_t kInvalidateAll = 1;  // IOMMU_TEST_INVALIDATE_FLAG_ALL

/// iommu_hwpt_invalidate_selftest.
struct IotlbCommand {
  std::uint32_t flags;
  std::uint32_t entry;
};
/// iommu_viommu_invalidate_selftest.
struct CacheCommand {
  std::uint32_t flags;
  std::uint32_t virt_id;
  std::uint32_t cache;
};

}  // namespace

Result<std::unique_ptr<NestedDomain>> NestedDomain::create(const Iommu& iommu, VirtualIommu* viommu,
                                                           iommu::UserData& data) {
  if (data.type() != Iommu::kHwptData)
    return fail(Errno::kOpNotSupp, "the mock makes nested HWPTs of its own data only");
  struct {
    std::uint32_t iotlb;
    std::uint32_t table;
  } config{};
  TEEIO_TRY(iommu::copy_struct(data, 0, Iommu::kHwptData, sizeof(config.iotlb),
                               writable_bytes_of(config)));
  return std::unique_ptr<NestedDomain>(new NestedDomain(iommu, viommu, config.iotlb));
}

std::uint32_t NestedDomain::entry(std::uint32_t index) const {
  const schedule::Lock lock(mutex_);
  return iotlb_.at(index);
}

Result<void> NestedDomain::invalidate(iommu::UserData& commands, std::uint32_t& done) {
  if (commands.type() != Iommu::kHwptInvalidate)
    return fail(Errno::kInval, "the commands are not the mock's");
  for (std::uint32_t i = 0; i < commands.count(); ++i) {
    IotlbCommand command{};
    TEEIO_TRY(iommu::copy_struct(commands, i, Iommu::kHwptInvalidate, sizeof(command),
                                 writable_bytes_of(command)));
    if ((command.flags & ~kInvalidateAll) != 0)
      return fail(Errno::kOpNotSupp, "unknown flag of an invalidation");
    if (command.entry >= kEntries) return fail(Errno::kInval, "the mock has no such IOTLB entry");
    const schedule::Lock lock(mutex_);
    if ((command.flags & kInvalidateAll) != 0)
      iotlb_.fill(0);
    else
      iotlb_.at(command.entry) = 0;
    ++done;
  }
  return {};
}

void VirtualIommu::add_vdevice(std::uint64_t virt_id, std::uint32_t group) {
  const schedule::Lock lock(iommu_.mutex_);
  vdevices_[virt_id] = group;
}

void VirtualIommu::remove_vdevice(std::uint64_t virt_id) {
  const schedule::Lock lock(iommu_.mutex_);
  vdevices_.erase(virt_id);
}

std::optional<std::uint64_t> VirtualIommu::virt_id_of(std::uint32_t group) const {
  const auto at = std::ranges::find(vdevices_, group, [](const auto& v) { return v.second; });
  return at == vdevices_.end() ? std::nullopt : std::optional(at->first);
}

Result<std::unique_ptr<iommu::NestedDomain>> VirtualIommu::alloc_nested(std::uint32_t flags,
                                                                        iommu::UserData& data) {
  if ((flags & ~Iommu::kAllocPasid) != 0)
    return fail(Errno::kOpNotSupp, "unknown flag of a nested HWPT");
  return NestedDomain::create(iommu_, this, data);
}

Result<void> VirtualIommu::drop_caches(std::uint32_t flags, std::uint32_t virt_id,
                                       std::uint32_t cache) {
  if ((flags & ~kInvalidateAll) != 0)
    return fail(Errno::kOpNotSupp, "unknown flag of an invalidation");
  if (cache >= Iommu::kCaches) return fail(Errno::kInval, "the mock has no such cache entry");
  const schedule::Lock lock(iommu_.mutex_);
  const auto at = vdevices_.find(virt_id);
  if (at == vdevices_.end()) return fail(Errno::kInval, "no vDEVICE has this virtual id");
  // A vDEVICE that outlives its function: VdeviceLifetime::kIndependent.
  const auto function = iommu_.functions_.find(at->second);
  if (function == iommu_.functions_.end())
    return fail(Errno::kInval, "the vDEVICE's function is gone");
  auto& entries = function->second.cache;
  if ((flags & kInvalidateAll) != 0)
    entries.fill(0);
  else
    entries.at(cache) = 0;
  return {};
}

Result<void> VirtualIommu::invalidate(iommu::UserData& commands, std::uint32_t& done) {
  // An empty list asks whether the type is known.
  if (commands.count() == 0 && commands.type() == Iommu::kViommuInvalidate) return {};
  if (commands.count() == 0) return fail(Errno::kInval, "the commands are not the mock's");
  // All of them are copied before the first is carried out.
  std::vector<CacheCommand> copied(commands.count());
  for (std::uint32_t i = 0; i < commands.count(); ++i)
    TEEIO_TRY(iommu::copy_any_struct(commands, i, Iommu::kViommuInvalidate,
                                     writable_bytes_of(copied[i])));
  for (const CacheCommand& command : copied) {
    TEEIO_TRY(drop_caches(command.flags, command.virt_id, command.cache));
    ++done;
  }
  return {};
}

Result<std::optional<std::uint32_t>> VirtualIommu::init_queue(const Queue& queue) {
  if (queue.index >= kQueues) return fail(Errno::kInval, "the mock has two queues");
  const std::optional<Hpa> expected = parent_.translate(queue.base);
  const schedule::Lock lock(iommu_.mutex_);
  if (queues_.contains(queue.index)) return fail(Errno::kExist, "the queue is there already");
  std::optional<std::uint32_t> before;
  if (queue.index != 0) {
    before = queue.index - 1;
    if (!queues_.contains(*before)) return fail(Errno::kIo, "the queue before it is missing");
  }
  if (expected != queue.memory)
    return fail(Errno::kFault, "the parent translates the queue's address to another page");
  queues_.insert(queue.index);
  return before;
}

void VirtualIommu::destroy_queue(std::uint32_t index) {
  const schedule::Lock lock(iommu_.mutex_);
  TEEIO_CHECK(queues_.erase(index) == 1, "a mock queue is destroyed twice");
}

}  // namespace teeio::mock
