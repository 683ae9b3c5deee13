#pragma once

#include <cstdint>
#include <set>

#include "host/iommufd/context.h"
#include "host/iommufd/device_handle.h"
#include "host/iommufd/mock/bench.h"
#include "schedule/mutex.h"

namespace teeio::mock {

/// A mock function and the object through which a program owns it (Linux: struct mock_dev
/// and struct selftest_obj).
///
/// Lifetime: an iommufd object; its end detaches and unbinds.
/// Locking: iopf_rwsem, written over changes of what it is attached to.
class TestDevice final : public iommufd::Object, public iommufd::DeviceHandle {
 public:
  static constexpr iommufd::ObjectType kType = iommufd::ObjectType::kSelftest;
  TestDevice(iommufd::Context& context, Bench& bench)
      : Object(kType), context_(context), bench_(bench) {}

  /// A number for it, and its way into the mock IOMMU. Errors: ENOSPC.
  Result<void> arrive(Iommu::FunctionKind kind);
  /// Errors: Idevice::bind()'s, attach()'s.
  Result<iommufd::ObjectId> bind_and_attach(iommufd::ObjectId pt_id);

  [[nodiscard]] iommufd::Idevice& idevice() const { return *idevice_; }

  // iommufd::DeviceHandle
  [[nodiscard]] Bdf bdf() const override;
  [[nodiscard]] std::uint32_t iommu_group() const override;
  [[nodiscard]] iommu::Iommu& iommu() const override { return bench_.iommu_; }
  [[nodiscard]] bool holds_context() const override { return false; }

  schedule::RwMutex iopf_rwsem{schedule::Rank::kVfioDevset};
  /// Those that were attached and may be so still.
  std::set<std::uint32_t> pasids TEEIO_GUARDED_BY(iopf_rwsem);

 private:
  ~TestDevice() override = default;
  /// iommufd_selftest_destroy(), which leaves PASIDs attached: a WARN, and a device that stays.
  void destroy() override;

  iommufd::Context& context_;
  Bench& bench_;
  std::uint32_t number_ = 0;
  bool arrived_ = false;
  iommufd::Idevice* idevice_ = nullptr;
};

}  // namespace teeio::mock
