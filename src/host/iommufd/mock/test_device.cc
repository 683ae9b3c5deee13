#include "host/iommufd/mock/test_device.h"

#include <limits>

#include "schedule/fault_point.h"

namespace teeio::mock {
namespace {

/// Above the groups and the PCI domains of machines.
constexpr std::uint32_t kFirstGroup = 0x4000'0000;
constexpr std::uint16_t kDomain = std::numeric_limits<std::uint16_t>::max();

}  // namespace

Bdf TestDevice::bdf() const { return Bdf::from_rid(static_cast<std::uint16_t>(number_), kDomain); }

std::uint32_t TestDevice::iommu_group() const { return kFirstGroup + number_; }

Result<void> TestDevice::arrive(Iommu::FunctionKind kind) {
  TEEIO_TRY(schedule::allocate("a mock function"));
  TEEIO_ASSIGN(number_, bench_.take_number());
  arrived_ = true;
  bench_.iommu_.declare(iommu_group(), kind);
  return bench_.iommu_.probe(bdf(), iommu_group());
}

Result<iommufd::ObjectId> TestDevice::bind_and_attach(iommufd::ObjectId pt_id) {
  TEEIO_ASSIGN(idevice_, iommufd::Idevice::bind(context_, *this, {}));
  const schedule::WriteLock lock(iopf_rwsem);
  return idevice_->attach(pt_id);
}

void TestDevice::destroy() {
  if (idevice_ != nullptr) {
    {
      const schedule::WriteLock lock(iopf_rwsem);
      for (const std::uint32_t pasid : pasids) idevice_->detach(pasid);
      pasids.clear();
      idevice_->detach();
    }
    idevice_->unbind();
  }
  if (!arrived_) return;
  bench_.iommu_.release(bdf());
  bench_.release_number(number_);
}

}  // namespace teeio::mock
