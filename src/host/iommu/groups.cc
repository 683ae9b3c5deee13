#include "host/iommu/groups.h"

#include "base/check.h"

namespace teeio::iommu {

Group& Groups::join(std::uint32_t number, Bdf function) {
  Group& joined = groups_[number];
  joined.functions.insert(function);
  return joined;
}

void Groups::leave(Bdf function) {
  for (auto& [number, group] : groups_) group.functions.erase(function);
}

Group& Groups::at(std::uint32_t number) {
  const auto found = groups_.find(number);
  TEEIO_CHECK(found != groups_.end(), "an IOMMU group has no member");
  return found->second;
}

Result<Group*> Groups::claim(std::uint32_t number, const void* owner) {
  Group& claimed = at(number);
  if (claimed.owner_count != 0 && claimed.owner != owner)
    return fail(Errno::kPerm, "the group's DMA belongs to another owner");
  claimed.owner = owner;
  return ++claimed.owner_count == 1 ? &claimed : nullptr;
}

Group* Groups::release(std::uint32_t number) {
  Group& owned = at(number);
  TEEIO_CHECK(owned.owner != nullptr, "a group's DMA is released that nobody owns");
  if (--owned.owner_count != 0) return nullptr;
  TEEIO_CHECK(owned.domain == nullptr, "a group's DMA is released while a domain is attached");
  owned.owner = nullptr;
  return &owned;
}

Result<void> Groups::use_default_domain(std::uint32_t number) {
  Group& used = at(number);
  if (used.owner != nullptr) return fail(Errno::kBusy, "the group's DMA has an owner");
  ++used.owner_count;
  return {};
}

void Groups::unuse_default_domain(std::uint32_t number) {
  Group& used = at(number);
  TEEIO_CHECK(used.owner == nullptr && used.owner_count != 0,
              "a group's default domain is left that no driver uses");
  --used.owner_count;
}

Group& Groups::attach(std::uint32_t number, Attachable& domain) {
  Group& owned = at(number);
  TEEIO_CHECK(owned.owner != nullptr, "a domain is attached to a group that nobody owns");
  owned.domain = &domain;
  return owned;
}

Group& Groups::detach(std::uint32_t number) {
  Group& owned = at(number);
  owned.domain = nullptr;
  return owned;
}

}  // namespace teeio::iommu
