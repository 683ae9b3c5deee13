#pragma once

#include <cstdint>
#include <map>
#include <set>

#include "base/result.h"
#include "base/types.h"
#include "host/iommu/iommu.h"

namespace teeio::iommu {

/// An IOMMU group as drivers/iommu/iommu.c keeps it: its functions, who owns their DMA,
/// and the domain that they use.
struct Group {
  std::set<Bdf> functions;
  const void* owner = nullptr;    ///< null with a count: drivers of the host
  std::uint32_t owner_count = 0;  ///< Linux: group->owner_cnt
  Attachable* domain = nullptr;   ///< null: blocked if owned, else the default
};

/// The groups behind one IOMMU. What a change means for the hardware is its driver's to
/// do, with the group that each call gives.
///
/// Locking: the driver's.
class Groups {
 public:
  Group& join(std::uint32_t number, Bdf function);
  void leave(Bdf function);
  /// Precondition: the group has had a member.
  Group& at(std::uint32_t number);
  [[nodiscard]] const std::map<std::uint32_t, Group>& all() const { return groups_; }

  /// Iommu::claim_dma_owner(). Gives the group when its domain changed, null when it was
  /// owned before. Errors: EPERM.
  Result<Group*> claim(std::uint32_t number, const void* owner);
  /// Iommu::release_dma_owner(). As claim().
  Group* release(std::uint32_t number);
  /// Iommu::use_default_domain(). Errors: EBUSY.
  Result<void> use_default_domain(std::uint32_t number);
  void unuse_default_domain(std::uint32_t number);
  /// Iommu::attach(). Precondition: somebody owns the group.
  Group& attach(std::uint32_t number, Attachable& domain);
  Group& detach(std::uint32_t number);

 private:
  std::map<std::uint32_t, Group> groups_;
};

}  // namespace teeio::iommu
