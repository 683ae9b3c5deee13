#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "base/result.h"
#include "host/iommu/virtual_iommu.h"
#include "host/iommufd/device_handle.h"
#include "host/iommufd/hwpt.h"
#include "host/iommufd/object.h"
#include "object/file.h"
#include "object/ref.h"

namespace teeio::iommufd {

class Context;
class HwQueue;
class Idevice;
class Vdevice;
class Veventq;

/// A slice of an IOMMU for one VM (Linux: struct iommufd_viommu). One of type TSM stands for
/// confidential DMA, which the trusted side translates on the VM's behalf; others belong to
/// the IOMMU's driver.
///
/// Lifetime: a user of its nest parent HWPT; each vDEVICE, vEVENTQ, hardware queue and nested
/// HWPT is a user of it. With VmRef::kViommu one of type TSM holds the VM file, and so does
/// the final put of the VM.
class Viommu final : public Object, private iommu::EventSink, private iommu::SharedPages {
 public:
  static constexpr ObjectType kType = ObjectType::kViommu;
  static constexpr std::uint32_t kTypeDefault = 0;
  /// IOMMU_VIOMMU_TYPE_TSM of the `teeio` profile; entry/ translates others.
  static constexpr std::uint32_t kTypeTsm = 3;

  /// The last part of iommufd_viommu_alloc_ioctl(): makes it on `idevice`'s
  /// IOMMU and takes the VM that the device is associated with, if any. Not
  /// finalized. Errors: ENOSPC.
  static Result<NewObject<Viommu>> create(Context& context, Idevice& idevice, HwptPaging& hwpt);
  /// The same of the driver's `type`. `data`: null without. Errors: ENOSPC;
  /// Iommu::make_virtual_iommu()'s.
  static Result<NewObject<Viommu>> create(Context& context, Idevice& idevice, HwptPaging& hwpt,
                                          std::uint32_t type, iommu::UserData* data);

  /// The VM file to bind `vdevice`'s function to, or null without a VM.
  [[nodiscard]] object::Ref<object::File> vm_file() const { return vm_file_; }
  [[nodiscard]] const iommu::Iommu& iommu() const { return iommu_; }
  [[nodiscard]] HwptPaging& hwpt() const { return hwpt_; }
  /// The driver's part; null of type TSM.
  [[nodiscard]] iommu::VirtualIommu* driver() const { return driver_.get(); }

  /// Makes `virt_id` taken (xa_insert() of an entry that reads as nothing).
  /// Errors: EEXIST.
  Result<void> reserve_virt_id(std::uint64_t virt_id) TEEIO_EXCLUDES(vdevs_lock_);
  void set_vdevice(std::uint64_t virt_id, Vdevice& vdevice, std::uint32_t group)
      TEEIO_EXCLUDES(vdevs_lock_);
  void release_virt_id(std::uint64_t virt_id) TEEIO_EXCLUDES(vdevs_lock_);

  /// iommufd_veventq_alloc(): a queue for events of `type`. Errors: EEXIST there is one.
  Result<NewObject<Veventq>> make_veventq(std::uint32_t type, std::uint32_t depth)
      TEEIO_EXCLUDES(veventqs_rwsem_);
  void forget_veventq(const Veventq& queue) TEEIO_EXCLUDES(veventqs_rwsem_);

  /// VirtualIommu::init_queue() for `queue`. Gives the one that must outlive it, with a
  /// user, or null. Errors: init_queue()'s; EIO that one is going.
  Result<HwQueue*> start_queue(HwQueue& queue, const iommu::VirtualIommu::Queue& request)
      TEEIO_EXCLUDES(queues_lock_);
  void stop_queue(std::uint32_t index) TEEIO_EXCLUDES(queues_lock_);

 private:
  Viommu(Context& context, Idevice& idevice, HwptPaging& hwpt);
  ~Viommu() override = default;
  /// iommufd_viommu_destroy().
  void destroy() override;
  /// iommufd_viommu_report_event().
  Result<void> report(std::uint32_t type, ByteView event) override TEEIO_EXCLUDES(veventqs_rwsem_);
  Result<std::uint64_t> share(std::uint64_t length, ByteView contents) override;
  [[nodiscard]] Veventq* veventq(std::uint32_t type) TEEIO_REQUIRES_SHARED(veventqs_rwsem_);

  Context& context_;
  const iommu::Iommu& iommu_;
  HwptPaging& hwpt_;
  object::Ref<object::File> vm_file_;
  bool created_ = false;  ///< kViommuCreated was said
  std::unique_ptr<iommu::VirtualIommu> driver_;
  schedule::Mutex vdevs_lock_{schedule::Rank::kViommuVdevs};
  std::map<std::uint64_t, Vdevice*> vdevs_ TEEIO_GUARDED_BY(vdevs_lock_);
  schedule::RwMutex veventqs_rwsem_{schedule::Rank::kViommuVdevs};
  std::vector<Veventq*> veventqs_ TEEIO_GUARDED_BY(veventqs_rwsem_);
  schedule::Mutex queues_lock_{schedule::Rank::kViommuVdevs};  ///< the drivers' queue_mutex
  std::map<std::uint32_t, HwQueue*> queues_ TEEIO_GUARDED_BY(queues_lock_);
};

}  // namespace teeio::iommufd
