#pragma once

#include <vector>

#include "host/iommufd/io_pagetable.h"
#include "host/iommufd/object.h"

namespace teeio::iommufd {

class HwptPaging;

/// An IO address space (Linux: struct iommufd_ioas): the IOVAs, and the HWPTs
/// that carry a copy of them into hardware.
///
/// Lifetime: each HWPT is one user.
/// Locking: mutex (rank kIommufdIoas, taken before igroup->lock since attaching
/// may have to make a HWPT) over `hwpts`; iopt has its own.
class Ioas final : public Object {
 public:
  static constexpr ObjectType kType = ObjectType::kIoas;
  Ioas() : Object(kType) {}

  IoPagetable iopt;
  schedule::Mutex mutex{schedule::Rank::kIommufdIoas};
  std::vector<HwptPaging*> hwpts TEEIO_GUARDED_BY(mutex);  ///< oldest first

 private:
  ~Ioas() override = default;
  /// iommufd_ioas_destroy().
  void destroy() override;
};

}  // namespace teeio::iommufd
