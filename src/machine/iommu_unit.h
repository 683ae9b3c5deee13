#pragma once

#include <memory>

#include "base/result.h"
#include "host/iommu/iommu.h"
#include "hw/iommu.h"
#include "hw/physical_memory.h"
#include "object/trace.h"

namespace teeio::machine {

/// An IOMMU and its driver, without a machine around them.
struct IommuUnit {
  std::unique_ptr<hw::Iommu> hardware;
  std::unique_ptr<iommu::Iommu> driver;
};
/// Of a machine's default kind. Errors: ENOMEM.
Result<IommuUnit> make_iommu_unit(hw::PhysicalMemory& memory, object::Trace& trace,
                                  std::uint32_t id);

}  // namespace teeio::machine
