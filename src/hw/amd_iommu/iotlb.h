#pragma once

#include <cstdint>
#include <optional>

#include "base/types.h"
#include "hw/amd_iommu/table_walk.h"
#include "hw/tagged_cache.h"

namespace teeio::hw::amd {

/// Translations by (domain, address), an entry each 4 KiB whatever the page's size.
/// Addresses from kEnd on are not cached.
///
/// Locking: find() from any task, the others under the AmdIommu's lock.
class Iotlb {
 public:
  static constexpr std::size_t kSlots = 4096;
  static constexpr std::uint64_t kEnd = std::uint64_t{1} << 48U;

  [[nodiscard]] std::optional<Page> find(std::uint16_t domain, Iova address) const;
  void insert(std::uint16_t domain, Iova address, const Page& page);
  void drop_all();
  /// Drops every address in [first, last].
  void drop_range(std::uint16_t domain, Iova first, Iova last);

 private:
  TaggedCache<kSlots> cache_;
};

/// Device table entries by requester. Locking: as Iotlb.
class DeviceCache {
 public:
  static constexpr std::size_t kSlots = 512;

  [[nodiscard]] std::optional<DeviceEntry> find(std::uint16_t rid) const;
  void insert(std::uint16_t rid, const DeviceEntry& entry);
  void drop_all();
  void drop(std::uint16_t rid);

 private:
  TaggedCache<kSlots> cache_;
};

}  // namespace teeio::hw::amd
