#pragma once

#include <cstdint>
#include <map>

#include "host/iommufd/object.h"
#include "object/ref.h"
#include "schedule/mutex.h"

namespace teeio::iommufd {

class Context;
class Hwpt;
class Idevice;

/// IOMMU_NO_PASID: requests without one.
inline constexpr std::uint32_t kNoPasid = 0;

/// What the functions of one IOMMU group have in common within a context
/// (Linux: struct iommufd_group).
///
/// Lifetime: as long as one of them is bound.
class Group final : public object::Counted {
 public:
  Group(Context& context, std::uint32_t number) : context_(context), number_(number) {}

  [[nodiscard]] std::uint32_t number() const { return number_; }

  /// What one PASID of the group is attached to (Linux: struct iommufd_attach, and the
  /// attach handle).
  struct Attachment {
    Hwpt* hwpt = nullptr;
    std::uint64_t handle = 0;  ///< another one after each change
    ObjectId made_by = 0;      ///< the device that asked for the change
    std::map<ObjectId, Idevice*> devices;
  };
  schedule::Mutex lock{schedule::Rank::kIommufdGroup};  ///< igroup->lock
  /// By PASID: pasid_attach. All attached members use the same.
  std::map<std::uint32_t, Attachment> attachments TEEIO_GUARDED_BY(lock);

  /// Null when nothing is attached.
  [[nodiscard]] Attachment* at(std::uint32_t pasid) TEEIO_REQUIRES(lock) {
    const auto found = attachments.find(pasid);
    return found == attachments.end() ? nullptr : &found->second;
  }

 private:
  ~Group() override = default;
  void last_put() override;
  Context& context_;
  const std::uint32_t number_;
};

}  // namespace teeio::iommufd
