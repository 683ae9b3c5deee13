#pragma once

#include <cstdint>
#include <map>

#include "host/iommufd/object.h"
#include "object/ref.h"
#include "schedule/mutex.h"

namespace teeio::iommufd {

class Context;
class HwptPaging;
class Idevice;

/// What the functions of one IOMMU group have in common within a context
/// (Linux: struct iommufd_group).
///
/// Lifetime: as long as one of them is bound.
class Group final : public object::Counted {
 public:
  Group(Context& context, std::uint32_t number) : context_(context), number_(number) {}

  [[nodiscard]] std::uint32_t number() const { return number_; }

  schedule::Mutex lock{schedule::Rank::kIommufdGroup};  ///< igroup->lock
  /// The HWPT that all attached members use (pasid_attach[0]->hwpt).
  HwptPaging* hwpt TEEIO_GUARDED_BY(lock) = nullptr;
  std::map<ObjectId, Idevice*> attached TEEIO_GUARDED_BY(lock);

 private:
  ~Group() override = default;
  void last_put() override;
  Context& context_;
  const std::uint32_t number_;
};

}  // namespace teeio::iommufd
